"""The content of the files in a run's folder, as typed values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from core.mri import MRSequence

RunState = Literal["queued", "running", "stopped", "failed", "interrupted", "finished"]

MACHINE_FIELDS = ("seconds", "images_per_second", "memory_bytes", "gpu_memory_bytes")
"""What an :class:`EpochRecord` says of the machine: all that may differ between a run and the same run resumed."""


LONGEST_REASON = 2000
"""Characters."""

UNNAMED = "(imported; its data has not been named here)"
"""Stands for the folder of an imported run's data until a person names it: a path from elsewhere is never opened here."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class DataSource(_Record):
    """Which cohort a run uses, as it was named: enough to scan it again."""

    root: str
    labels: str | None = None
    patient_pattern: str | None = None
    sequence: str | None = None
    layout: str | None = None
    identity: str | None = None
    """A table of ids that are one patient, beside the known pairs (:mod:`core.data.index.identity`)."""
    assign: tuple[tuple[str, MRSequence], ...] = ()
    """Series UID and the sequence that a person says it is, against what was recognised; sorted by UID."""
    shuffle_seed: int | None = None
    """Labels are shuffled among the patients with this seed (:mod:`core.dataset.shuffle`); None leaves them."""

    target: str | None = None
    """Column of the label table that is predicted; None is the MGMT status."""
    positive: str | None = None
    """Which of its values is the positive class."""
    cutoff: float | None = None
    """Numbers of the column from here on are positive."""
    session: str | None = None
    """Which session of each person is used; None is the pre-operative or first."""
    shuffle_within: Literal["site"] | None = None
    """With a shuffle: within each site; None is among all patients."""
    leave_out: tuple[str, ...] = ()
    """Persons who are excluded, because another of several joined cohorts has them; sorted."""
    joined: tuple[DataSource, ...] = ()
    """Further cohorts that are joined to this one (:func:`core.data.join.join_cohorts`)."""

    @model_serializer(mode="wrap")
    def _leave_out(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write the youngest fields only where they are set: documents stored before are compared with these."""
        document: dict[str, Any] = write(self)
        younger = ("target", "positive", "cutoff", "session", "shuffle_within", "leave_out", "joined")
        return {name: value for name, value in document.items() if name not in younger or value not in (None, (), [])}

    @field_validator("assign")
    @classmethod
    def _sort(cls, pairs: tuple[tuple[str, MRSequence], ...]) -> tuple[tuple[str, MRSequence], ...]:
        return tuple(sorted(dict(pairs).items()))

    @property
    def options(self) -> list[str]:
        """The command line's options that say how to read it; a shuffle has none."""
        names = (
            "labels",
            "target",
            "positive",
            "cutoff",
            "session",
            "patient_pattern",
            "layout",
            "sequence",
            "identity",
        )
        given = [(name, getattr(self, name)) for name in names if getattr(self, name) is not None]
        words = [word for name, value in given for word in (f"--{name.replace('_', '-')}", str(value))]
        return [*words, *(word for uid, sequence in self.assign for word in ("--assign", f"{uid}={sequence}"))]

    @property
    def places(self) -> str:
        """Its folder, or all of several joined cohorts."""
        return ", ".join([self.root, *(one.root for one in self.joined)])

    def without(self, persons: Iterable[str]) -> DataSource:
        """Return the same cohort without some persons."""
        return self.model_copy(update={"leave_out": tuple(sorted({*self.leave_out, *persons}))})

    @property
    def named(self) -> bool:
        """Whether it says where the data lies: an imported run's does not at first."""
        return not self.root.endswith(UNNAMED)


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
    gradient_norm: float | None = None
    """Euclidean norm of the gradient over all weights, mean over the epoch's steps; None in a run of an older version."""
    gradient_norm_max: float | None = None
    """The largest of the epoch's steps."""
    memory_bytes: int | None = None
    """Most memory that the process held so far: resident, mapped images of the cache included."""
    gpu_memory_bytes: int | None = None
    """Most memory of the GPU that tensors held so far; None where there is no GPU."""
    train_histogram: tuple[tuple[int, ...], ...] | None = None
    """(classes, bins): examples of each true class by the probability given to the positive class, in equal bins over
    0..1; in training as the steps themselves said, so with augmentation and with weights that moved."""
    val_histogram: tuple[tuple[int, ...], ...] | None = None
    """The same of the validation phase."""
    train_loss_low: float | None = None
    """Ends of a 95% interval whose observations are patients, not slices. These and the six below are None in a run of
    an older version, and where a class has fewer than two patients."""
    train_loss_high: float | None = None
    train_accuracy_low: float | None = None
    train_accuracy_high: float | None = None
    val_loss_low: float | None = None
    val_loss_high: float | None = None
    val_accuracy_low: float | None = None
    val_accuracy_high: float | None = None
    val_predicted: tuple[int, ...] | None = None
    """(classes,): validation examples for which each class had the largest logit."""


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
    loss: float | None = None
    """Of the last training step."""
    learning_rate: float | None = None
    """Of the training step that comes next."""
    gradient_norm: float | None = None
    """Of the last training step."""
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    """As in :class:`EpochRecord`."""
    seconds_left: float | None = None
    message: str = ""
    """One line; for a failed run what was wrong and what to do."""
    failure: str = ""
    """Of a failed run: the name of its error's class; empty in one of an older version."""
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


class _Sizes(_Record):
    slices: Annotated[int, Field(ge=0)]
    patients: Annotated[int, Field(ge=0)]
    per_class: list[Annotated[int, Field(ge=0)]]


class _Counts(_Record):
    studies: Annotated[int, Field(ge=0)]
    persons: Annotated[int, Field(ge=0)]


class _Excluded(_Counts):
    reason: Annotated[str, Field(max_length=LONGEST_REASON)]


class _Participants(_Record):
    found: _Counts
    excluded: list[_Excluded]
    unlabelled: _Counts
    used: _Counts


class RunEnvironment(_Record):
    """The fields of environment.json that pages and the trainer read; it has more."""

    versions: dict[str, str] = {}
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    world_size: Annotated[int, Field(ge=1, le=4096)] = 1
    class_names: list[str] = []
    positive_class: Annotated[int, Field(ge=0)] = 0
    sizes: dict[str, _Sizes] = {}
    participants: _Participants | None = None
    weights: dict[str, Any] = {}
    compute: dict[str, Any] = {}
    cohort_digest: str = ""
    split_digest: str = ""
    test_digest: str = ""
