"""calibration and thresholds: what a run's probabilities mean, and what follows from acting on them."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from core.cli.output import Outcome, table
from core.errors import EvaluationError
from core.evaluation.calibration import CALIBRATION_TITLES, calibrate_left_out, to_probabilities
from core.evaluation.conformal import ConformalRule, evaluate_sets, ideal_set_size, predict_sets, sets_left_out
from core.evaluation.curves import reliability_bins
from core.evaluation.selection import withhold_intervals
from core.evaluation.thresholds import SHARES, decision_curve, decision_words, evaluate_thresholds
from core.figure_text import figure_text
from core.models.card import CheckpointCard, read_card
from core.runs.evaluation import Evaluation, calibration_figures, read_best_known
from core.runs.folder import find_run
from core.settings import Settings

BINS = 6


def calibration(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """How far the probabilities that the checkpoint gives are off, and conformal sets."""
    evaluation, card = _two_classes(arguments.run, settings)
    labels, logits, positive_class = evaluation.patient_labels, evaluation.patient_logits, evaluation.positive_class
    after, temperatures = calibrate_left_out(labels, logits)
    found = calibration_figures(evaluation)
    document: dict[str, Any] = {
        "part": evaluation.part,
        "n": len(labels),
        "temperature": evaluation.temperature,
        "calibrated_on": card.calibration,
        "figures": {name: figure.to_dict() for name, figure in found.items()},
        "temperatures": temperatures.tolist(),
    }
    lines = [f"{_whose(evaluation)}; temperature {evaluation.temperature:.3f}, {card.describe_calibration()}"]
    lines += [f"  {title}: {figure_text(found[name])}" for name, title in CALIBRATION_TITLES.items()]
    for name, probabilities in (
        ("as people receive it", evaluation.patient_probabilities),
        ("as trained", to_probabilities(logits)),
        ("with temperature", after),
    ):
        selected = evaluation.part == "val"
        bins = reliability_bins(labels == positive_class, probabilities[:, positive_class], BINS, selected=selected)
        rows = [
            {"said": float(said), "was": one.value, "low": one.low, "high": one.high, "n": float(one.n)}
            for said, one in zip(bins.promised, bins.figures, strict=True)
        ]
        document[name.replace(" ", "_")] = rows
        if name != "with temperature":  # refitted on these patients: kept for scripts, received by nobody
            lines += [f"{name}:", *table([list(row.values()) for row in rows], list(rows[0]))]
    sets = sets_left_out(labels, evaluation.patient_probabilities, arguments.level)
    figures = evaluate_sets(labels, sets, evaluation.class_names, selected=evaluation.part == "val")
    auroc = evaluation.patient["auroc"].value
    ideal = None if auroc is None else ideal_set_size(auroc, arguments.level)
    document["sets"] = {
        "level": arguments.level,
        "coverage": {name: one.to_dict() for name, one in zip(evaluation.class_names, figures.coverage, strict=True)},
        "mean_size": figures.mean_size.to_dict(),
        "ideal_size": ideal,
        "told": figures.told.to_dict(),
        "right_when_told": figures.right_when_told.to_dict(),
        "undecided": figures.undecided.to_dict(),
        "both": figures.both,
        "empty": figures.empty,
    }
    lines.append(
        f"sets at {arguments.level:.0%}: {figure_text(figures.mean_size)} classes on average"
        + ("" if ideal is None else f", at best {ideal:.2f}")
    )
    for name, one in zip(evaluation.class_names, figures.coverage, strict=True):
        lines.append(f"  {name} held: {figure_text(one)}")
    lines.append(f"  cannot tell: {figure_text(figures.undecided)}")
    if card.conformal:
        rule = ConformalRule.from_dict(card.conformal)
        shipped = evaluate_sets(labels, predict_sets(rule, evaluation.patient_probabilities), evaluation.class_names)
        held = dict(zip(evaluation.class_names, shipped.coverage, strict=True))
        held = withhold_intervals(held) if evaluation.part == "val" else held
        promises = dict(zip(evaluation.class_names, card.describe_sets(), strict=True))
        document["checkpoint_sets"] = {
            "level": rule.level,
            "coverage": {name: one.to_dict() for name, one in held.items()},
            "promises": promises,
        }
        lines.append(f"the checkpoint's own sets at {rule.level:.0%}:")
        lines += [f"  {name} held: {figure_text(held[name])}; {promises[name]}" for name in held]
    return Outcome(document=document, lines=lines)


def thresholds(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """The four shares and the net benefit at the stored threshold and around it."""
    evaluation, _ = _two_classes(arguments.run, settings)
    positive = evaluation.patient_labels == evaluation.positive_class
    probability = evaluation.patient_probabilities[:, evaluation.positive_class]
    grid = np.unique(np.r_[np.linspace(0.05, 0.95, 19).round(2), np.clip(evaluation.threshold, 0.01, 0.99)])
    selected = evaluation.part == "val"
    curve = decision_curve(positive, probability, grid, selected=selected)
    rows: list[dict[str, Any]] = []
    for number, point in enumerate(evaluate_thresholds(positive, probability, grid, selected=selected)):
        rows.append(
            {"threshold": point.threshold, "called": point.called}
            | {name: getattr(point, name).to_dict() for name in SHARES}
            | {
                "net_benefit": {
                    "value": float(curve.model[number]),
                    "low": None if selected else float(curve.low[number]),
                    "high": None if selected else float(curve.high[number]),
                },
                "net_benefit_all": float(curve.all[number]),
            }
        )
    shown = [
        [
            row["threshold"],
            row["called"],
            *(row[name]["value"] for name in SHARES),
            row["net_benefit"]["value"],
            row["net_benefit_all"],
        ]
        for row in rows
    ]
    header = ("threshold", "called", *SHARES.values(), "net benefit", "of calling all")
    document = {
        "part": evaluation.part,
        "n": len(positive),
        "chosen_on_validation": evaluation.threshold,
        "thresholds": rows,
        "adds_something_to_both": curve.adds.tolist(),
    }
    lines = [
        f"{_whose(evaluation)}; the threshold chosen on validation patients is {evaluation.threshold:.3f}",
        *table(shown, header),
        decision_words(curve),
    ]
    return Outcome(document=document, lines=lines)


def _two_classes(name: str, settings: Settings) -> tuple[Evaluation, CheckpointCard]:
    run = find_run(name, settings)
    evaluation = read_best_known(run)
    if len(evaluation.class_names) != 2:
        raise EvaluationError(f"{run.name} has {len(evaluation.class_names)} classes; this is for two.")
    return evaluation, read_card(run.checkpoint)


def _whose(evaluation: Evaluation) -> str:
    who = (
        "test patients"
        if evaluation.part == "test"
        else "validation patients, which chose epoch, temperature and threshold"
    )
    return f"{len(evaluation.patient_ids)} {who}"
