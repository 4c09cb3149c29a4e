"""external and leave-one-cohort-out: several cohorts as one question, each resumed by the same command."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.cli.config import read_config
from core.cli.options.shared import DATA_OPTIONS
from core.cli.output import Outcome, TerminalProgress, plain, table
from core.experiments.external.parameters import (
    ExternalParameters,
    ask_external,
    ask_leave_out,
    read_cohort_source,
    subject_name,
)
from core.experiments.run import run_experiment
from core.figure_text import figure_text, value_text
from core.files import storage_errors, write_atomic
from core.jobs.experiment import Display, Experiment, Question, RunOptions
from core.models.catalogue import find_checkpoint
from core.reports.external_page import describe_methods, list_remarks, write_external_page
from core.runs.records import DataSource
from core.settings import Settings

FIGURES = ("auroc", "brier", "observed_expected", "intercept", "slope")


def external(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Evaluate a checkpoint on each cohort, and say what all of them say together."""
    checkpoint = find_checkpoint(arguments.subject, settings)
    question = ask_external(checkpoint, _read_sources(arguments), **_ties(arguments))
    name = arguments.name or f"external-{subject_name(ExternalParameters(**question.parameters))}"
    return _answer(arguments, settings, name, question, RunOptions())


def leave_one_cohort_out(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Train without each cohort, evaluate on it, and say what all of them say together."""
    question = ask_leave_out(
        read_config(arguments),
        _read_sources(arguments),
        by=arguments.by,
        matrix=arguments.matrix,
        **_ties(arguments),
    )
    return _answer(arguments, settings, arguments.name, question, RunOptions(parallel=arguments.parallel))


def _answer(
    arguments: argparse.Namespace, settings: Settings, name: str, question: Question, options: RunOptions
) -> Outcome:
    experiment = Experiment.ask(settings, name, question)
    display = Display(progress=TerminalProgress)
    result = run_experiment(experiment, settings, options, display, behind_queue=arguments.behind_queue)
    folder = str(experiment.folder)
    document = {"experiment": folder, **result}
    lines = [*_describe(result), folder]
    if arguments.out:
        lines += _write(Path(arguments.out), document, experiment.name)
    return Outcome(document=document, lines=[plain(line) for line in lines])


def _read_sources(arguments: argparse.Namespace) -> list[DataSource]:
    given = {name: getattr(arguments, name) for name in DATA_OPTIONS if name not in ("jobs", "assign")}
    options: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    return [
        read_cohort_source(place, {**options, "assign": tuple(arguments.assign or ())}) for place in arguments.cohorts
    ]


def _ties(arguments: argparse.Namespace) -> dict[str, str]:
    return {"crosswalk": arguments.crosswalk or "", "pairs": arguments.pairs or ""}


def _describe(result: Mapping[str, Any]) -> list[str]:
    header = ("cohort", "n", "positive", "overlap", "AUROC (95%)", "O:E", "intercept", "slope", "Brier")
    rows = [
        (
            one["name"],
            one["n"],
            one["positive"],
            one["overlap"]["count"] if one["overlap"] else 0,
            *(value_text(one[name]) for name in ("auroc", "observed_expected", "intercept", "slope", "brier")),
        )
        for one in result["cohorts"]
    ]
    lines = [result["sentence"], *table(rows, header), describe_methods(result)]
    cells = [cell for cell in result.get("matrix", []) if cell["kind"] != "left out"]
    if cells:
        lines += ["trained on one alone:"]
        lines += table(
            [(one["trained_on"], one["tested_on"], figure_text(one["auroc"]), one["kind"]) for one in cells],
            ("trained on", "evaluated on", "AUROC (95%)", "which patients"),
        )
    return [*lines, *list_remarks(result)]


def _write(folder: Path, document: Mapping[str, Any], name: str) -> list[str]:
    folder = folder.expanduser()
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    ends = ("value", "low", "high")
    writer.writerow(["cohort", "n", "positive", "overlap", *(f"{one}_{end}" for one in FIGURES for end in ends)])
    for one in document["cohorts"]:
        overlap = one["overlap"]["count"] if one["overlap"] else 0
        cells = [one[figure][end] for figure in FIGURES for end in ends]
        writer.writerow([one["name"], one["n"], one["positive"], overlap, *cells])
    contents = {
        "external.json": json.dumps(document, indent=1, allow_nan=False),
        "external.csv": text.getvalue(),
        "external.html": write_external_page(name, document),
    }
    for file, content in contents.items():
        write_atomic(folder / file, content)
    return [f"Written: {folder / file}" for file in contents]
