"""evaluate: figures of a run on patients that were not used to train or select it."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli.cohort import read_cohort
from core.cli.options.shared import DATA_OPTIONS, OVERLAP_OPTIONS
from core.cli.output import Outcome, TerminalProgress, plain
from core.cli.parser import UsageError
from core.evaluation.figure import ESTIMANDS
from core.evaluation.figures import FIGURE_TITLES
from core.figure_text import figure_text
from core.runs.evaluation import Evaluation, describe_looks, describe_overlap
from core.runs.folder import find_run
from core.runs.seal import seal_of_run
from core.settings import Settings
from core.training.evaluate import evaluate_run


def evaluate(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Evaluate a run on a part of its own cohort, or on another cohort."""
    if arguments.data is None:
        useless = [name for name in (*DATA_OPTIONS, *OVERLAP_OPTIONS) if getattr(arguments, name) is not None]
        if useless:
            raise UsageError(f"--{useless[0].replace('_', '-')} says how to read --data, which is not given.")
    elif arguments.part is not None:
        raise UsageError("--part chooses patients of the run's own cohort and --data another cohort; give one of them.")
    run = find_run(arguments.run, settings)
    other = read_cohort(arguments, settings) if arguments.data is not None else None
    evaluation = evaluate_run(
        run,
        arguments.part or "test",
        settings,
        other=other,
        progress=TerminalProgress("evaluating"),
        crosswalk=Path(arguments.crosswalk) if arguments.crosswalk else None,
        pairs=Path(arguments.pairs) if arguments.pairs else None,
    )
    document, lines = {**evaluation.to_dict(), "estimand": ESTIMANDS["checkpoint"]}, _describe(evaluation, run.name)
    lines.append(ESTIMANDS["checkpoint"])
    if evaluation.part == "test":
        report = seal_of_run(run, settings, evaluation.judged)
        document["seal"] = report.model_dump(mode="json", exclude={"seal"})
        lines.append(plain(report.words))
    return Outcome(document=document, lines=lines)


def _describe(evaluation: Evaluation, run_name: str) -> list[str]:
    who = {"test": "its test patients", "val": "its validation patients, which chose the epoch and the threshold"}
    lines = [f"{run_name}, epoch {evaluation.epoch}, on {who.get(evaluation.part, evaluation.data)}"]
    if evaluation.part != "val":
        times = "once" if evaluation.looked_at == 1 else f"{evaluation.looked_at} times"
        lines.append(f"These patients have now been evaluated {times}.")
        lines += describe_looks(evaluation)
    if evaluation.leaky:
        lines.append("LEAKY: the split is by slice, so these figures do not say how well a new patient is predicted.")
    lines += [plain(text) for text in (*describe_overlap(evaluation.overlap), *evaluation.notes)]
    for title, figures in (("by patient", evaluation.patient), ("by slice", evaluation.slice)):
        lines.append(f"{title}:")
        lines += [f"  {FIGURE_TITLES[name]}: {figure_text(figure)}" for name, figure in figures.items()]
    return lines
