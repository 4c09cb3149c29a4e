"""optimism, specification, positive-control and study: questions of several trainings, each resumed by the same command.

``python -m core.cli.questions FOLDER`` answers the question of any experiment's folder, behind the queue of runs: it is
what the pages start.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from core.cli.config import read_config, read_source
from core.cli.output import Outcome, TerminalProgress, answer_folder, note, plain, table
from core.config import apply_settings
from core.evaluation.specification import SpecificationCurve
from core.experiments.controls.measurements import RESULTS
from core.experiments.controls.optimism import KIND as KIND_OPTIMISM
from core.experiments.controls.optimism import OptimismParameters
from core.experiments.controls.robustness_question import ask_robustness
from core.experiments.controls.specification import KIND as KIND_SPECIFICATION
from core.experiments.controls.specification import SpecificationParameters, list_cells
from core.experiments.external.parameters import read_cohort_source
from core.experiments.run import run_experiment
from core.experiments.study.parameters import KIND as KIND_STUDY
from core.experiments.study.parameters import POSITIVE, PositiveParameters, StudyParameters, size_config
from core.experiments.study.positive import choose_positive
from core.figure_text import figure_text
from core.files import write_atomic
from core.jobs.experiment import ENTRY, Display, Experiment, RunOptions, StoredProgress, make_question
from core.presets import find_preset
from core.progress import Progress
from core.reports.study_page import write_study
from core.runs.folder import absolute_source, find_run
from core.runs.records import EpochRecord
from core.settings import Settings, load_settings


def optimism(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Train over several seeds and compare both figures of each checkpoint."""
    parameters = OptimismParameters(seeds=max(2, arguments.seeds))
    experiment, result = _answer(arguments, settings, KIND_OPTIMISM, parameters)
    rows = [
        (pair["seed"], pair["epoch"], figure_text(pair["validation"]), figure_text(pair["untouched"]))
        for pair in result["pairs"]
    ]
    header = ("seed", "best epoch", "AUROC where chosen", "AUROC untouched")
    lines = [
        plain(result["sentence"]),
        *table(rows, header),
        f"by choice: {figure_text(result['optimism'])}",
        plain(experiment.folder),
    ]
    return Outcome(document={"experiment": str(experiment.folder), **result}, lines=lines)


def specification(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Train every combination and lay the results out in order."""
    vary = {words[0]: list(words[1:]) for words in arguments.vary}
    parameters = SpecificationParameters(vary=vary) if vary else SpecificationParameters()
    note(f"{len(list_cells(read_config(arguments), parameters))} combinations.")
    experiment, result = _answer(arguments, settings, KIND_SPECIFICATION, parameters, arguments.permutations)
    curve = SpecificationCurve.from_dict(result)
    rows = [
        [*cell.choices.values(), cell.figure.value, cell.figure.low, cell.figure.high, cell.figure.n]
        for cell in curve.cells
    ]
    if arguments.csv:
        write_atomic(Path(arguments.csv), curve.to_csv())
    header = (*parameters.vary, "AUROC", "low", "high", "n")
    lines = [plain(result["sentence"]), *table(rows, header), plain(experiment.folder)]
    return Outcome(document={"experiment": str(experiment.folder), **result}, lines=lines)


def positive_control(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Cross-validate the same configuration on another target of the same persons."""
    parameters = PositiveParameters(folds=arguments.folds, **_control_target(arguments))
    choose_positive(parameters, read_source(arguments))
    experiment, result = _answer(arguments, settings, POSITIVE, parameters)
    rows = [(name, figure_text(result[name])) for name in ("control", "own")]
    lines = [plain(result["sentence"]), *table(rows, ("target", "AUROC by patient")), plain(experiment.folder)]
    return Outcome(document={"experiment": str(experiment.folder), **result}, lines=lines)


def robustness(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Disturb a run's validation images and say how far its answers move."""
    run = find_run(arguments.run, settings)
    experiment = Experiment.ask(settings, arguments.name or f"robustness-{run.name}", ask_robustness(run))
    result = run_experiment(experiment, settings, RunOptions(), Display(progress=TerminalProgress))
    rows = [
        (one["title"], figure_text(one["probability"]), figure_text(one["changed"])) for one in result["moves"].values()
    ]
    lines = [plain(result["sentence"]), *table(rows, ("disturbed by", "probability moves by", "class changes of"))]
    return Outcome(document={"experiment": str(experiment.folder), **result}, lines=[*lines, plain(experiment.folder)])


def study(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Take every step of a study, and write its report and its claim sheet."""
    config = apply_settings(size_config(find_preset(arguments.preset).config, arguments.size), arguments.settings)
    control = {f"control_{name}": value for name, value in _control_target(arguments).items() if name != "target"}
    parameters = StudyParameters(
        size=arguments.size,
        external=tuple(absolute_source(read_cohort_source(place, {})) for place in arguments.external),
        control_target=arguments.control_target,
        **control,
    )
    question = make_question(KIND_STUDY, parameters, config, read_source(arguments))
    experiment = Experiment.ask(settings, arguments.name, question)
    display = Display(progress=TerminalProgress, on_epoch=_show_epoch)
    result = run_experiment(experiment, settings, RunOptions(), display, behind_queue=arguments.behind_queue)
    files = write_study(experiment, settings)
    lines = [plain(f"{step['title']}: {step['sentence']}") for step in result["steps"].values()]
    lines += ["What these data cannot show:", *(plain(f"- {text}") for text in result["cannot"])]
    document = {"experiment": str(experiment.folder), "files": files, **result}
    return Outcome(document=document, lines=[*lines, *(plain(f"Written: {file}") for file in files)])


def _control_target(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "target": arguments.control_target,
        "positive": arguments.control_positive,
        "cutoff": arguments.control_cutoff,
    }


def _answer(
    arguments: argparse.Namespace, settings: Settings, kind: str, parameters: BaseModel, count: int | None = None
) -> tuple[Experiment, dict[str, Any]]:
    question = make_question(kind, parameters, read_config(arguments), read_source(arguments))
    experiment = Experiment.ask(settings, arguments.name, question)
    display = Display(progress=TerminalProgress, on_epoch=_show_epoch)
    return experiment, run_experiment(
        experiment, settings, RunOptions(count=count), display, behind_queue=arguments.behind_queue
    )


def _show_epoch(record: EpochRecord) -> None:
    note(f"  epoch {record.epoch}  val loss {record.val_loss:.4f} accuracy {record.val_accuracy:.3f}")


def answer(folder: Path) -> None:
    """Answer the question of a folder, with lines of progress on standard error and in the folder."""
    experiment, settings = Experiment(folder), load_settings()
    ends = math.inf

    def tell(title: str) -> Progress:
        nonlocal ends
        if settings.hosted and ends == math.inf:  # the wait behind the queue of runs does not count
            ends = time.monotonic() + 60 * settings.hosted_minutes
        terminal, stored = TerminalProgress(title), StoredProgress(experiment, title, ends)

        def both(done: int, total: int, what: str = "") -> None:
            terminal(done, total, what)
            stored(done, total, what)

        return both

    display = Display(
        progress=tell,
        on_epoch=_show_epoch,
        on_trial=lambda number, outcome: note(f"trial {number} {outcome}"),
    )
    kind = experiment.question().kind
    waits = settings.hosted or kind not in RESULTS
    run_experiment(experiment, settings, experiment.options(), display, behind_queue=waits)
    if kind == KIND_STUDY:
        write_study(experiment, settings)


def main(arguments: list[str]) -> int:
    """Answer the question of a folder; the exit status is a command's."""
    return answer_folder(arguments, ENTRY, answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
