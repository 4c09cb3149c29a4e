"""Warning signs of a training in progress: pure functions on the records of its epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.runs.folder import RunFolder
from core.runs.records import EpochRecord

RISING_EPOCHS = 3
"""Epochs in a row with a rising validation loss that are a sign."""
TOO_FAR_ABOVE = 0.2
"""By how much training accuracy by slice may exceed that of validation."""

SignKind = Literal["loss rising", "class never predicted", "validation too small", "overfitting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningSign:
    """One warning sign."""

    kind: SignKind
    message: str
    """What is seen, with its figures, and what may be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignContext:
    """What the records themselves do not say."""

    class_names: Sequence[str] = ()
    val_patients: int = 0
    """0 where it is not known."""


def find_warning_signs(records: Sequence[EpochRecord], context: SignContext = SignContext()) -> tuple[WarningSign, ...]:
    """Return the warning signs after the last of the epochs so far.

    A loss or an output that is not a number needs no sign: it ends the run as failed, with a remedy.

    Parameters
    ----------
    records
        The finished epochs, in order.
    context
        The classes' names, and how many patients validate.
    """
    if not records:
        return ()
    found = (check(records, context) for check in _CHECKS)
    return tuple(sign for sign in found if sign is not None)


def read_warning_signs(run: RunFolder) -> tuple[WarningSign, ...]:
    """Return the warning signs of a run from its folder."""
    environment = run.environment()
    context = SignContext(
        class_names=environment.get("class_names", ()),
        val_patients=environment.get("sizes", {}).get("val", {}).get("patients", 0),
    )
    return find_warning_signs(run.epochs(), context)


def _loss_rising(records: Sequence[EpochRecord], context: SignContext) -> WarningSign | None:
    losses = [record.val_loss for record in records]
    rising = 0
    while rising + 1 < len(losses) and losses[-rising - 1] > losses[-rising - 2]:
        rising += 1
    if rising < RISING_EPOCHS:
        return None
    since = records[-rising - 1]
    return WarningSign(
        kind="loss rising",
        message=f"The validation loss has risen for {rising} epochs in a row, from {since.val_loss:.3f} in epoch "
        f"{since.epoch} to {losses[-1]:.3f}: the network becomes surer of wrong answers. The best epoch's weights are "
        "kept; more augmentation, weight decay or fewer epochs may help.",
    )


def _class_never_predicted(records: Sequence[EpochRecord], context: SignContext) -> WarningSign | None:
    """In the last epoch, no validation example was given to a class."""
    last = records[-1]
    if last.val_predicted is None or last.val_histogram is None:
        return None
    missing = [
        index
        for index, count in enumerate(last.val_predicted)
        if count == 0 and sum(last.val_histogram[index]) > 0  # a class that is not in validation cannot be missed
    ]
    if not missing:
        return None
    since = last.epoch
    for record in reversed(records):
        if record.val_predicted is None or any(record.val_predicted[index] for index in missing):
            break
        since = record.epoch
    names = " and ".join(
        context.class_names[index] if index < len(context.class_names) else f"class {index}" for index in missing
    )
    total = sum(last.val_predicted)
    return WarningSign(
        kind="class never predicted",
        message=f"No validation slice of {total} was called {names} since epoch {since}: an accuracy of "
        f"{last.val_accuracy:.3f} is what always saying the other reaches. A lower learning_rate, more epochs or "
        "class_weights=balanced may help; early epochs often pass through this.",
    )


def _validation_too_small(records: Sequence[EpochRecord], context: SignContext) -> WarningSign | None:
    """The best epoch's gain over the first (none, where it is the first) lies within half of its interval's width."""
    first, best = records[0], next((record for record in reversed(records) if record.best), None)
    if len(records) < 2 or best is None or best.val_patient_auroc is None or first.val_patient_auroc is None:
        return None
    low, high = best.val_patient_auroc_low, best.val_patient_auroc_high
    if low is None or high is None:
        return None
    gain = best.val_patient_auroc - first.val_patient_auroc
    if gain > (high - low) / 2:
        return None
    patients = f" with n = {context.val_patients} patients" if context.val_patients else ""
    return WarningSign(
        kind="validation too small",
        message=f"Validation is too small for the differences shown: the AUROC of the best epoch, {best.epoch}, is "
        f"{best.val_patient_auroc:.3f}, {gain:+.3f} against the first epoch's, and its 95% interval is "
        f"{high - low:.3f} wide{patients}. Which epoch is best may be chance; more validation "
        "patients or cross-validation would tell.",
    )


def _overfitting(records: Sequence[EpochRecord], context: SignContext) -> WarningSign | None:
    last = records[-1]
    gap = last.train_accuracy - last.val_accuracy
    if gap <= TOO_FAR_ABOVE:
        return None
    return WarningSign(
        kind="overfitting",
        message=f"Training accuracy by slice, {last.train_accuracy:.3f}, lies {gap:.3f} above the validation's, "
        f"{last.val_accuracy:.3f}, in epoch {last.epoch}: the network learns its training patients by heart. More "
        "augmentation, weight decay, a smaller network or more patients may help.",
    )


_CHECKS: tuple[Callable[[Sequence[EpochRecord], SignContext], WarningSign | None], ...] = (
    _loss_rising,
    _class_never_predicted,
    _overfitting,
    _validation_too_small,
)
