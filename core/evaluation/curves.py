"""The curves behind the figures, as arrays to draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.evaluation.figure import Figure
from core.evaluation.intervals import wilson_interval
from core.evaluation.selection import withhold_intervals


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Points of a curve in the order of falling thresholds; all arrays of shape (points,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    """Rows with at least this score are called positive; the first point of a ROC curve has infinity."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReliabilityBins:
    """What was promised and what was observed, per bin that holds something; all arrays of shape (bins,)."""

    promised: NDArray[np.float64]
    """Mean probability of the positive class."""
    observed: NDArray[np.float64]
    """Share of the positive class."""
    low: NDArray[np.float64]
    """Lower end of the share's 95 % Wilson interval."""
    high: NDArray[np.float64]
    counts: NDArray[np.int64]
    selected: bool = False
    """These patients chose the epoch and the temperature: no intervals."""

    @property
    def figures(self) -> list[Figure]:
        """The share of the positive class of each bin, with n, and its interval unless these patients chose something."""
        rows = enumerate(zip(self.observed, self.low, self.high, self.counts, strict=True))
        found = {
            str(number): Figure(value=float(share), low=float(low), high=float(high), n=int(n))
            for number, (share, low, high, n) in rows
        }
        return list((withhold_intervals(found) if self.selected else found).values())


def roc_curve(positive: ArrayLike, scores: ArrayLike) -> Curve:
    """Return x = 1 - specificity and y = sensitivity, from (0, 0) to (1, 1); one point per distinct score.

    A rate of a class that is absent is 0 along the whole curve.
    """
    thresholds, found, called = _cumulated(positive, scores)
    false = called - found
    return Curve(
        x=np.r_[0.0, false / max(false[-1], 1)],
        y=np.r_[0.0, found / max(found[-1], 1)],
        thresholds=np.r_[np.inf, thresholds],
    )


def precision_recall_curve(positive: ArrayLike, scores: ArrayLike) -> Curve:
    """Return x = recall and y = precision; it starts at recall 0 with the precision of the first point."""
    thresholds, found, called = _cumulated(positive, scores)
    precision = found / called
    return Curve(
        x=np.r_[0.0, found / max(found[-1], 1)],
        y=np.r_[precision[0], precision],
        thresholds=np.r_[thresholds[0], thresholds],
    )


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, class_count: int) -> NDArray[np.int64]:
    """Count rows by what is true (first axis) and what was said (second): (classes, classes)."""
    matrix = np.zeros((class_count, class_count), dtype=np.int64)
    np.add.at(matrix, (np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)), 1)
    return matrix


def reliability_bins(
    positive: ArrayLike, probabilities: ArrayLike, bins: int = 10, *, selected: bool = False
) -> ReliabilityBins:
    """Gather rows into equally wide bins of probability; empty bins are left out. `selected`: these patients chose something."""
    truth = np.asarray(positive, dtype=bool)
    probability = np.asarray(probabilities, dtype=np.float64)
    member = np.minimum((probability * bins).astype(np.int64), bins - 1)
    counts = np.bincount(member, minlength=bins)
    kept = counts > 0
    successes = np.bincount(member, truth, minlength=bins)[kept]
    limits = [wilson_interval(hits, count) for hits, count in zip(successes, counts[kept], strict=True)]
    low, high = np.array(limits).reshape(-1, 2).T
    return ReliabilityBins(
        promised=np.bincount(member, probability, minlength=bins)[kept] / counts[kept],
        observed=successes / counts[kept],
        low=low,
        high=high,
        counts=counts[kept],
        selected=selected,
    )


def _cumulated(
    positive: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Distinct scores falling, and for each the true positives and all rows at or above it."""
    truth = np.asarray(positive, dtype=bool)
    score = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-score, kind="stable")
    values = score[order]
    last = np.flatnonzero(np.r_[values[1:] != values[:-1], True])
    return values[last], np.cumsum(truth[order])[last].astype(np.float64), (last + 1).astype(np.float64)
