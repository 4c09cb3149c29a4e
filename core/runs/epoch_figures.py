"""Figures of a run's epochs with their interval and the n of the part that they were computed on."""

from __future__ import annotations

from typing import Literal

from core.evaluation.figure import Figure
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord


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
        older version, or a class with a single patient.
    """
    patients, slices, _ = part_sizes(run, "train" if field.startswith("train_") else "val")
    low, high = (getattr(record, f"{field}_{end}", None) for end in ("low", "high"))
    return Figure(
        value=getattr(record, field),
        low=low,
        high=high,
        n=patients if "_patient_" in field else slices,
        reason="" if low is not None else "the run keeps no interval for this epoch",
    )


def best_validation_auroc(run: RunFolder) -> Figure:
    """Return the AUROC by patient of a run's best epoch, on the validation patients that chose it."""
    best = next(record for record in reversed(run.epochs()) if record.best)
    return Figure(
        value=best.val_patient_auroc,
        low=best.val_patient_auroc_low,
        high=best.val_patient_auroc_high,
        n=part_sizes(run, "val")[0],
        method="DeLong on the logit scale, continuity-corrected; the best epoch on the patients that chose it",
    )
