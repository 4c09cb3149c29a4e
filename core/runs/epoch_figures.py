"""A run's epochs: their figures with interval and n, what each said of each validation patient, and the calibration from that."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from core.errors import CheckpointError, RunError
from core.evaluation.calibration import choose_threshold, fit_temperature, to_probabilities
from core.evaluation.conformal import fit_conformal
from core.evaluation.figure import Figure
from core.evaluation.selection import SET_FOLDS, Selection, correct_auroc, withhold_intervals
from core.models.card import CheckpointCard, read_card, replace_card
from core.runs.evaluation import build_evaluation
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord

CROSS_FITTED = "cross-fitted"
"""Each patient's score is that of the epoch which others choose, so no patient had a part in its own choice."""
FRESH = "fresh"
"""On patients used for nothing else."""


def part_sizes(run: RunFolder, part: Literal["train", "val", "test"]) -> tuple[int, int, float | None]:
    """Return a part's patients, slices, and the accuracy of always its most frequent class; zeros before the start."""
    sizes = run.environment().get("sizes", {}).get(part, {})
    counts = sizes.get("per_class", [])
    majority = max(counts) / sum(counts) if sum(counts) else None
    return int(sizes.get("patients", 0)), int(sizes.get("slices", 0)), majority


def epoch_figure(run: RunFolder, record: EpochRecord, field: str) -> Figure:
    """Return a field of an epoch as a figure.

    Parameters
    ----------
    run, record
        The run and one of its epochs.
    field
        "train_loss", "val_accuracy", "val_patient_auroc", ... of :class:`EpochRecord`.

    Returns
    -------
    Figure
        n counts patients for what is by patient, else slices. Without an interval where the run keeps none: one of an
        older version, or a class with a single patient; and a validation figure of the chosen epoch, which its patients chose.
    """
    patients, slices, _ = part_sizes(run, "train" if field.startswith("train_") else "val")
    low, high = (getattr(record, f"{field}_{end}", None) for end in ("low", "high"))
    figure = Figure(
        value=getattr(record, field),
        low=low,
        high=high,
        n=patients if "_patient_" in field else slices,
        reason="" if low is not None else "the run keeps no interval for this epoch",
    )
    chosen = field.startswith("val_") and record.best and not any(one.best for one in run.epochs()[record.epoch :])
    return withhold_intervals({field: figure})[field] if chosen else figure


def best_validation_auroc(run: RunFolder) -> Figure:
    """Return the AUROC by patient of a run's best epoch as it was chosen, so without an interval."""
    best = next((record for record in reversed(run.epochs()) if record.best), None)
    if best is None:
        raise RunError(
            f"{run.path / 'epochs.jsonl'} holds no best epoch, though there is one; restore it, or delete the run."
        )
    return epoch_figure(run, best, "val_patient_auroc")


def corrected_validation_auroc(run: RunFolder) -> Figure:
    """Return the AUROC by patient of a run's checkpoint, corrected for the choice of the epoch where the run keeps enough."""
    try:
        corrected = read_card(run.checkpoint).corrected_auroc()
    except CheckpointError:
        corrected = None
    return corrected or best_validation_auroc(run)


def read_selection(run: RunFolder, card: CheckpointCard) -> Selection | None:
    """Return what every epoch said of the validation patients, in the order of their names; None where the run lacks it.

    A run of an older version has none, and one that an older version began lacks the first epochs.

    Raises
    ------
    RunError
        The file is damaged.
    """
    path, classes = run.validation_file, len(card.class_names)
    if not path.exists():
        return None
    try:
        content = load_file(path)
        labels, scores = content["labels"].astype(np.int64), content["scores"].astype(np.float64)
        epochs, patients, columns = scores.shape
        right = columns == classes + 2 and labels.shape == (patients,) and epochs >= card.epoch
        right &= bool(np.isin(labels, np.arange(classes)).all()) and not bool(np.isinf(scores).any())
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RunError(f"{path} is damaged ({type(error).__name__}); delete it, or restore it.") from error
    if not right:
        raise RunError(f"{path} is not of this run's classes and epochs; delete it, or restore it.")
    if np.isnan(scores).any():
        return None
    return Selection(
        labels=labels, logits=scores[:, :, :classes], losses=scores[:, :, classes], hits=scores[:, :, classes + 1],
        positive_class=card.positive_class, select_on=card.config.select_on,
    )  # fmt: skip


def fit_calibration(
    card: CheckpointCard,
    labels: NDArray[np.int64],
    logits: NDArray[np.float64],
    how: str,
    of_sets: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Return a card's temperature, threshold, sets of classes and the note of whom they were fitted on.

    Parameters
    ----------
    card
        Its positive class counts.
    labels, logits
        (patients,) and (patients, classes), of patients who chose nothing.
    how
        :data:`CROSS_FITTED` or :data:`FRESH`.
    of_sets
        Logits that the sets of classes are fitted on, where they are others.
    """
    positive = card.positive_class
    temperature = fit_temperature(labels, logits)
    chances = to_probabilities(logits, temperature)
    return {
        "temperature": temperature,
        "threshold": choose_threshold(labels, chances[:, positive], positive),
        "conformal": fit_conformal(
            labels, chances if of_sets is None else to_probabilities(of_sets, temperature)
        ).to_dict(),
        "calibration": {"how": how, "patients": len(labels), "base_rate": float(np.mean(labels == positive))},
    }


def calibrate_checkpoint(run: RunFolder, guard: dict[str, Any] | None = None) -> CheckpointCard:
    """Give the run's checkpoint its temperature, threshold, sets and figures, from all epochs so far; its weights stay.

    Each validation patient is scored by an epoch that others choose, so that the calibration rests on nobody who took
    part in his own choice. Nothing of this changes in a run of an older version. `guard` is what the card keeps to hold a new
    scan against; None leaves it.

    Raises
    ------
    RunError
        A file of the run is damaged.
    CheckpointError
        Its checkpoint is.
    """
    card = read_card(run.checkpoint)
    if guard is not None and card.guard != guard:
        card = replace_card(run.checkpoint, lambda stored: stored.model_copy(update={"guard": guard}))
    selection = read_selection(run, card)
    if selection is None:
        return card
    left_out = selection.score_left_out(), selection.score_left_out(SET_FOLDS)
    found = fit_calibration(card, selection.labels, left_out[0], CROSS_FITTED, left_out[1])
    found["calibration"]["epochs"] = len(selection.logits)
    found["metrics"] = {"val": {"patient": {"auroc": correct_auroc(selection).to_dict()}}}
    found["metrics"] = {"val": judge_validation(run, card.model_copy(update=found))}
    if all(getattr(card, name) == value for name, value in found.items()):
        return card
    return replace_card(run.checkpoint, lambda stored: stored.model_copy(update=found))


def judge_validation(run: RunFolder, card: CheckpointCard) -> dict[str, Any]:
    """Return the figures of a card's validation patients by "patient" and "slice", as a card keeps them."""
    evaluation = build_evaluation(
        card, run.predictions(), part="val", data="", leaky=False, synthetic=card.synthetic, created=""
    )
    return {
        level: {name: figure.to_dict() for name, figure in figures.items()}
        for level, figures in (("patient", evaluation.patient), ("slice", evaluation.slice))
    }
