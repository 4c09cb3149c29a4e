"""evaluate: figures of a run on patients that were not used to train or select it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from core.cli.cohort import read_cohort
from core.cli.options.shared import DATA_OPTIONS, OVERLAP_OPTIONS
from core.cli.output import Outcome, TerminalProgress, plain
from core.cli.parser import UsageError
from core.errors import EvaluationError
from core.evaluation.calibration import CALIBRATION_TITLES
from core.evaluation.figures import FIGURE_TITLES
from core.evaluation.thresholds import SHARES, evaluate_thresholds, shift_prevalence, values_at_prevalence
from core.figure_text import figure_text
from core.runs.evaluation import Evaluation, calibration_figures, describe_looks, describe_overlap
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
    document, lines = evaluation.to_dict(), _describe(evaluation, run.name)
    if len(evaluation.class_names) == 2:
        found = calibration_figures(evaluation)
        document["calibration"] = {name: figure.to_dict() for name, figure in found.items()}
        lines += ["calibration by patient, of the probabilities that the checkpoint gives:"]
        lines += [f"  {CALIBRATION_TITLES[name]}: {figure_text(found[name])}" for name in CALIBRATION_TITLES]
    if arguments.prevalence is not None:
        document["at_prevalence"], more = _at_prevalence(evaluation, arguments.prevalence)
        lines += more
    if evaluation.part == "test":
        report = seal_of_run(run, settings, evaluation.judged)
        document["seal"] = report.model_dump(mode="json", exclude={"seal"})
        lines.append(plain(report.words))
    return Outcome(document=document, lines=lines)


def _at_prevalence(evaluation: Evaluation, prevalence: float) -> tuple[dict[str, Any], list[str]]:
    """Predictive values at the checkpoint's threshold, and its probability at that threshold, where others are positive."""
    if len(evaluation.class_names) != 2:
        raise EvaluationError(f"A prevalence is of two classes; this checkpoint has {len(evaluation.class_names)}.")
    positive = evaluation.patient_labels == evaluation.positive_class
    chances = evaluation.patient_probabilities[:, evaluation.positive_class]
    (point,) = evaluate_thresholds(positive, chances, [evaluation.threshold], selected=evaluation.part == "val")
    values = values_at_prevalence(point, prevalence)
    rate = float(positive.mean())
    moved = float(shift_prevalence(evaluation.threshold, rate, prevalence)) if 0 < rate < 1 else None
    lines = [f"where {prevalence:.1%} are {evaluation.class_names[evaluation.positive_class]} (here {rate:.1%}):"]
    lines += [f"  {SHARES[name]}: {figure_text(figure)}" for name, figure in values.items()]
    if moved is not None:
        lines.append(f"  a probability of {evaluation.threshold:.3f}, the threshold, is {moved:.3f} there")
    figures = {name: figure.to_dict() for name, figure in values.items()}
    return {"prevalence": prevalence, "base_rate": rate, **figures, "threshold": moved}, lines


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
