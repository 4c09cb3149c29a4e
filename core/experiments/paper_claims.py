"""What the paper claims of its 30 epochs, and what a run gave in the same place.

A. Kaymak, M. I. Demir: "Classification of Brain Tumors in Multi-Modal MR Images Using Deep Spatio-Spatial Model",
section 5 and Figure 4. Its split unit, learning rate, batch size and slices are not stated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.evaluation.figure import Figure
from core.runs.epoch_figures import epoch_figure, part_sizes
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One figure of the paper."""

    name: str
    paper: float
    where: str
    """Which epoch of the paper's 30."""
    percent: bool
    field: str
    """Of an :class:`EpochRecord`."""
    pick: Callable[[Sequence[EpochRecord]], EpochRecord]
    """The record of the same place in a run."""


def _first(records: Sequence[EpochRecord]) -> EpochRecord:
    return records[0]


def _last(records: Sequence[EpochRecord]) -> EpochRecord:
    return records[-1]


def _peak(records: Sequence[EpochRecord]) -> EpochRecord:
    return max(records, key=lambda record: record.val_accuracy)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="Training accuracy, first epoch",
        paper=0.6049,
        where="1",
        percent=True,
        field="train_accuracy",
        pick=_first,
    ),
    Claim(
        name="Training accuracy, last epoch", paper=0.9300, where="30", percent=True, field="train_accuracy", pick=_last
    ),
    Claim(name="Training loss, first epoch", paper=3.0781, where="1", percent=False, field="train_loss", pick=_first),
    Claim(name="Training loss, last epoch", paper=0.5954, where="30", percent=False, field="train_loss", pick=_last),
    Claim(name="Validation loss, first epoch", paper=2.2196, where="1", percent=False, field="val_loss", pick=_first),
    Claim(name="Validation loss, last epoch", paper=1.7253, where="30", percent=False, field="val_loss", pick=_last),
    Claim(
        name="Validation accuracy, peak", paper=0.9087, where="about 10", percent=True, field="val_accuracy", pick=_peak
    ),
)

UNSTATED: tuple[tuple[str, str], ...] = (
    ("Split unit", "by slice or by patient is not stated. A split by slice alone is enough for such a figure; whether it was used cannot be known."),
    ("Number of slices", "neither the slices nor the patients in training, validation and test are stated, so the figure has no interval."),
    ("Which slices and sequences", "not stated; here all four sequences, 16 slices of each."),
    ("Learning rate, momentum, batch size", "not stated; here 0.001, 0.9 and 32, as in the recipe that the method resembles."),
    ("Test result", "a test part is described, but no figure of it is given."),
)  # fmt: skip
"""What the paper does not state, and what is used here instead."""

UNRECONCILED: tuple[tuple[str, str], ...] = (
    (
        "First training loss 3.08",
        "two classes at random cost 0.69. We saw a first epoch of 0.69, 1.00 and 3.03 at learning rates of 0.001, 0.01 and 0.1, and at "
        "0.1 the network then collapsed.",
    ),
    (
        "Last validation loss 1.73",
        "the accuracy of the last epoch is not given. Were it that of the peak, each wrong slice would cost 18.9 nats even if every "
        "right one cost nothing: 1.7253 / (1 - 0.9087) = 18.9. At 60% it would still be 4.3, where chance costs 0.69.",
    ),
    (
        "Last training loss 0.595 at 93% accuracy",
        "if every right slice cost nothing, each wrong one would cost 0.5954 / (1 - 0.93) = 8.5 nats.",
    ),
    (
        "\u201cSpatial and temporal information\u201d",
        "the title says spatio-spatial, the abstract spatial and temporal; the method is a 2-D network that sees one slice at a "
        "time. It has no second spatial axis beyond the slice, and no time.",
    ),
    (
        "\u201cStrong generalization\u201d",
        "the figure is the best of 30 epochs on the same slices that chose the epoch. What generalizes is shown by patients who "
        "chose nothing.",
    ),
)
"""What we could not bring together; nothing more is concluded from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRow:
    """A claim beside a run."""

    claim: Claim
    epoch: int
    figure: Figure
    """The run's: n slices, the interval over patients; none in a run of an older version."""
    patients: int


def compare_claims(run: RunFolder) -> list[ClaimRow]:
    """Return a run's figure for each claim of the paper; empty before the first finished epoch.

    Accuracies are by slice and by the larger output, as the paper's code prints them; no threshold is applied.
    """
    records = run.epochs()
    if not records:
        return []
    return [_compare(claim, run, claim.pick(records)) for claim in CLAIMS]


def _compare(claim: Claim, run: RunFolder, record: EpochRecord) -> ClaimRow:
    patients, _, _ = part_sizes(run, "train" if claim.field.startswith("train_") else "val")
    return ClaimRow(claim=claim, epoch=record.epoch, figure=epoch_figure(run, record, claim.field), patients=patients)
