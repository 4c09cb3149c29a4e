"""What the files of a run's folder hold, as values."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["DataSource", "EpochRecord", "RunState", "RunStatus"]

RunState = Literal["queued", "running", "stopped", "failed", "interrupted", "finished"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class DataSource(_Record):
    """Which cohort a run uses, as it was named: enough to scan it again."""

    root: str
    labels: str | None = None
    patient_pattern: str | None = None
    sequence: str | None = None
    layout: str | None = None
    shuffle_seed: int | None = None
    """Labels are dealt out to the patients anew with this seed (:mod:`core.data.shuffle`); None leaves them."""


class EpochRecord(_Record):
    """One line of epochs.jsonl. AUROCs are None where a class is missing."""

    epoch: int
    """1 is the first."""
    learning_rate: float
    """At the epoch's first step."""
    train_loss: float
    train_accuracy: float
    train_patient_auroc: float | None
    """From the logits of the training steps themselves, averaged per patient."""
    val_loss: float
    val_accuracy: float
    val_patient_auroc: float | None
    val_patient_auroc_low: float | None
    val_patient_auroc_high: float | None
    val_patient_accuracy: float
    seconds: float
    images_per_second: float
    """Of the training phase."""
    best: bool
    """Whether this epoch is the best so far and its weights were kept."""


class RunStatus(_Record):
    """status.json."""

    state: RunState
    phase: str = ""
    """What it is doing: "preparing", "training", "validating", "saving"."""
    epoch: int = 0
    """The epoch in progress (1 is the first)."""
    epochs: int = 0
    step: int = 0
    """Within the phase: batches of the epoch, or series while preparing."""
    steps: int = 0
    images_per_second: float | None = None
    seconds_left: float | None = None
    message: str = ""
    """One line; for a failed run what was wrong and what to do."""
    best_epoch: int | None = None
    created: str = ""
    """ISO 8601, UTC."""
    queued: str = ""
    """When it last entered the queue: the queue's order."""
    started: str | None = None
    finished: str | None = None
    owner: str = ""
    """In hosted mode, the visitor whose run it is."""
    note: str = ""
    """A person's own words."""
