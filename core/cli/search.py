"""search: many configurations on one split, the best by the validation patients, and one evaluation on the test patients."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import replace

from core.cli.config import read_config, read_source
from core.cli.output import INTERRUPTED, Outcome, TerminalProgress, note, plain, table
from core.cli.parser import UsageError
from core.config import RunConfig
from core.errors import MGMTLabError
from core.experiments.run import run_experiment
from core.experiments.search.default_space import default_space
from core.experiments.search.result import SearchResult, read_result
from core.experiments.search.run_search import evaluate_best
from core.experiments.search.search import Search, SearchParameters, ask_search, find_search
from core.figure_text import figure_text
from core.jobs.experiment import Display, Experiment, RunOptions
from core.runs.records import EpochRecord
from core.settings import Settings


def search(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Search, show or judge."""
    if arguments.data in ("show", "judge") and arguments.known:
        found = find_search(settings, arguments.known, storage=arguments.storage)
        return _answer(found, settings, evaluate=arguments.data == "judge")
    if arguments.known:
        raise UsageError(f"{arguments.known!r} is one word too many; name DATA alone, or show NAME, or judge NAME.")
    settings = replace(settings, threads=arguments.jobs or settings.threads)
    question = ask_search(
        arguments.name, read_config(arguments), read_source(arguments), _read_parameters(arguments),
        storage=arguments.storage,
    )  # fmt: skip
    experiment = Experiment.ask(settings, arguments.name, question)
    options = RunOptions(count=arguments.trials, parallel=arguments.parallel, storage=arguments.storage)
    display = Display(
        progress=TerminalProgress,
        on_epoch=_show_epoch,
        on_trial=lambda number, outcome: note(f"trial {number} {outcome}"),
    )
    try:
        run_experiment(experiment, settings, options, display, behind_queue=arguments.behind_queue)
    except KeyboardInterrupt:
        with suppress(MGMTLabError):  # Before its first trial there is nothing to show.
            found = find_search(settings, arguments.name, storage=arguments.storage)
            outcome = replace(_answer(found, settings, evaluate=False), exit_status=INTERRUPTED)
            note(f"Stopped; the same command resumes {found.name}.")
            return outcome
        raise
    found = find_search(settings, arguments.name, storage=arguments.storage)
    return _answer(found, settings, evaluate=arguments.judge)


def _read_parameters(arguments: argparse.Namespace) -> SearchParameters:
    if arguments.seed < 0:
        raise UsageError("--seed must be 0 or more.")
    space = arguments.space
    if not space:
        entries = default_space(arguments.preset)
        space = [entry.text for entry in entries]
        for entry in entries:
            note(f"varied: {entry.text} ({entry.reason})")
    return SearchParameters(space=tuple(space), sampler=arguments.sampler, pruner=arguments.pruner, seed=arguments.seed)


def _answer(found: Search, settings: Settings, *, evaluate: bool) -> Outcome:
    lines: list[str] = []
    if evaluate:
        evaluation, counted = evaluate_best(found, settings, TerminalProgress("test slices"))
        lines.append(f"On the test patients: AUROC {figure_text(evaluation.patient['auroc'])}")
        if not counted:
            lines.append("This trial was evaluated before; it counts as no further evaluation.")
    result = read_result(found, settings)
    lines = [*_describe(result, found.config), *lines, _test_line(result), plain(found.folder)]
    return Outcome(document={"experiment": str(found.folder), **result.to_dict()}, lines=lines)


def _describe(result: SearchResult, config: RunConfig) -> list[str]:
    names = list(dict.fromkeys(name for row in result.trials for name in row.settings))
    rows = [[row.number, row.state, figure_text(row.auroc), row.epochs, *(_short(row.settings.get(name)) for name in names)]
            for row in result.trials]  # fmt: skip
    counts = ", ".join(
        f"{result.count(state)} {state}" for state in ("finished", "pruned", "failed") if result.count(state)
    )
    lines = [
        *table(rows, ("trial", "state", "AUROC (validation)", "epochs", *names)),
        f"{counts or 'no trial has ended'}.",
    ]
    lines += sorted({f"failed: {plain(row.reason)}" for row in result.trials if row.state == "failed"})
    if result.best is None:
        return lines
    chosen = ", ".join(f"{name}={_short(value)}" for name, value in result.best.settings.items())
    lines.append(
        f"Best by {config.select_on}: trial {result.best.number} ({chosen}), run {result.best.run}, epoch {result.best.best_epoch}"
    )
    if result.best.auroc:
        lines.append(f"  Validation AUROC by patient, {result.best.whose}: {figure_text(result.best.auroc)}")
    if result.noise:
        lines.append(f"  {result.noise.sentence}")
    return lines


def _test_line(result: SearchResult) -> str:
    times = "once" if result.looked_at == 1 else f"{result.looked_at} times"
    if not result.looked_at:
        return f"The {result.test_patients} test patients have not been evaluated."
    warning = (
        " WARNING: a choice that follows an evaluation makes the figure optimistic; only the first one is worth its face value."
        if result.looked_at > 1
        else ""
    )
    return f"The {result.test_patients} test patients have been evaluated {times}, with any run.{warning}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def _show_epoch(record: EpochRecord) -> None:
    auroc = "none" if record.val_patient_auroc is None else f"{record.val_patient_auroc:.3f}"
    note(
        f"  epoch {record.epoch}  val loss {record.val_loss:.4f} accuracy {record.val_accuracy:.3f} patient AUROC {auroc}"
    )
