"""What the paper claims of its 30 epochs, and what a run gave in the same place.

A. Kaymak, M. I. Demir: "Classification of Brain Tumors in Multi-Modal MR Images Using Deep Spatio-Spatial Model",
section 5 and Figure 4. Its split unit, learning rate, batch size and slices are not stated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import RunError
from core.evaluation.figure import Figure
from core.evaluation.influence import share_interval
from core.training.records import EpochRecord
from core.training.run import RunFolder
from core.training.summary import name_patients

__all__ = ["CLAIMS", "UNRECONCILED", "UNSTATED", "Claim", "ClaimRow", "compare_claims"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One figure of the paper."""

    name: str
    paper: float
    where: str
    """Which epoch of the paper's 30."""
    percent: bool
    part: str
    """"train" or "val"."""
    pick: Callable[[Sequence[EpochRecord]], tuple[int, float]]
    """Epoch and value of the same place in a run."""


def _first(name: str) -> Callable[[Sequence[EpochRecord]], tuple[int, float]]:
    return lambda records: (records[0].epoch, float(getattr(records[0], name)))


def _last(name: str) -> Callable[[Sequence[EpochRecord]], tuple[int, float]]:
    return lambda records: (records[-1].epoch, float(getattr(records[-1], name)))


def _peak(records: Sequence[EpochRecord]) -> tuple[int, float]:
    best = max(records, key=lambda record: record.val_accuracy)
    return best.epoch, best.val_accuracy


CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="Training accuracy, first epoch", paper=0.6049, where="1", percent=True, part="train",
        pick=_first("train_accuracy"),
    ),
    Claim(
        name="Training accuracy, last epoch", paper=0.9300, where="30", percent=True, part="train",
        pick=_last("train_accuracy"),
    ),
    Claim(
        name="Training loss, first epoch", paper=3.0781, where="1", percent=False, part="train",
        pick=_first("train_loss"),
    ),
    Claim(
        name="Training loss, last epoch", paper=0.5954, where="30", percent=False, part="train",
        pick=_last("train_loss"),
    ),
    Claim(
        name="Validation loss, first epoch", paper=2.2196, where="1", percent=False, part="val",
        pick=_first("val_loss"),
    ),
    Claim(
        name="Validation loss, last epoch", paper=1.7253, where="30", percent=False, part="val",
        pick=_last("val_loss"),
    ),
    Claim(
        name="Validation accuracy, peak", paper=0.9087, where="about 10", percent=True, part="val",
        pick=_peak,
    ),
)  # fmt: skip

UNSTATED: tuple[tuple[str, str], ...] = (
    ("Split unit", "by slice or by patient is not stated. A split by slice alone is enough for such a figure; whether it was used cannot be known."),
    ("Number of slices", "neither the slices nor the patients in training, validation and test are stated, so the figure has no interval."),
    ("Which slices and sequences", "not stated; here all four sequences, 16 slices of each."),
    ("Learning rate, momentum, batch size", "not stated; here 0.001, 0.9 and 32, as in the recipe that the method resembles."),
    ("Test result", "a test part is described, but no figure of it is given."),
)  # fmt: skip
"""What a reader would need, and what stands in its place here."""

UNRECONCILED: tuple[tuple[str, str], ...] = (
    (
        "First training loss 3.08",
        "two classes at random cost 0.69. We saw a first epoch of 0.69, 1.00 and 3.03 at learning rates of 0.001, 0.01 and 0.1, and at "
        "0.1 the network then collapsed.",
    ),
    (
        "Validation loss 1.73 at about 91% accuracy",
        "if every right slice cost nothing, each wrong one would cost 19 nats on average: 1.7253 / (1 - 0.9087) = 18.9.",
    ),
)
"""What we could not bring together; nothing more is concluded from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRow:
    """A claim beside a run."""

    claim: Claim
    epoch: int
    figure: Figure
    """The run's; an interval only where the epoch's predictions are kept."""


def compare_claims(run: RunFolder) -> list[ClaimRow]:
    """Read off a run's epochs what stands beside each claim; empty before the first finished epoch.

    Accuracies are by slice and by the larger output, as the paper's code prints them; no threshold is applied.
    """
    records = run.epochs()
    if not records:
        return []
    sizes = run.environment().get("sizes", {})
    rows = []
    for claim in CLAIMS:
        epoch, value = claim.pick(records)
        count = int(sizes.get(claim.part, {}).get("slices", 0))
        reason = "only the mean of each epoch is kept"
        figure = Figure(value=value, low=None, high=None, n=count, reason=reason)
        if claim.part == "val" and claim.percent:
            figure = _with_interval(run, records, epoch, figure)
        rows.append(ClaimRow(claim=claim, epoch=epoch, figure=figure))
    return rows


def _with_interval(run: RunFolder, records: Sequence[EpochRecord], epoch: int, figure: Figure) -> Figure:
    """The interval of an accuracy over patients, where its epoch is the best one, whose predictions are kept."""
    best = next((record.epoch for record in reversed(records) if record.best), None)
    try:
        frame = run.predictions()
    except RunError:
        return figure
    if epoch != best or frame.empty:
        return figure
    columns = sorted(name for name in frame.columns if name.startswith("logit_"))
    labels = frame["label"].to_numpy(np.int64)
    hits = frame[columns].to_numpy(np.float64).argmax(axis=1) == labels
    patients = name_patients(frame)
    value, low, high = share_interval(hits, labels, patients)
    method = f"Wilson over {len(np.unique(patients))} patients; the epoch was chosen on them"
    return Figure(value=value, low=low, high=high, n=len(frame), method=method)
