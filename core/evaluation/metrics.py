"""The figures themselves, each for many weightings of the rows at once.

Every function takes ``weights`` of shape (draws, rows) and returns (draws,). A row of ones gives the plain figure;
rows of counts give the figure on as many bootstrap samples without a loop. A figure that a weighting leaves
undefined (a class without weight) is NaN there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SMALLEST_PROBABILITY = 1e-12


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Mean of `values` (rows,); accuracy is the mean of "was right", sensitivity that among the positive rows."""
    return _share(weights @ values, weights.sum(axis=1))


def balanced_accuracy(labels: Integers, predicted: Integers, weights: Floats) -> Floats:
    """Mean over the classes present in `labels` of the share of their rows that was predicted."""
    right = (labels == predicted).astype(np.float64)
    recalls = [weighted_mean(right[labels == index], weights[:, labels == index]) for index in np.unique(labels)]
    return np.mean(recalls, axis=0)


def auroc(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve: the chance that a positive row scores higher than a negative one, ties half."""
    yes, no = _weights_per_score(positive, scores, weights)
    below = np.cumsum(no, axis=1) - no
    return _share((yes * (below + no / 2)).sum(axis=1), yes.sum(axis=1) * no.sum(axis=1))


def macro_auroc(labels: Integers, probabilities: Floats, weights: Floats) -> Floats:
    """Mean over the classes present of each class's AUROC against the rest; probabilities are (rows, classes)."""
    areas = [auroc(labels == index, probabilities[:, index], weights) for index in np.unique(labels)]
    return np.mean(areas, axis=0)


def average_precision(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Area under the precision-recall curve as a step function: sum of precision times the gain in recall."""
    yes, no = _weights_per_score(positive, scores, weights)
    yes, no = yes[:, ::-1], no[:, ::-1]
    found = np.cumsum(yes, axis=1)
    called = found + np.cumsum(no, axis=1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return _share((yes * precision).sum(axis=1), found[:, -1])


def brier_score(positive: NDArray[np.bool_], probabilities: Floats, weights: Floats) -> Floats:
    """Mean squared distance between the probability of the positive class and what was true: 0 is perfect."""
    return weighted_mean((probabilities - positive) ** 2, weights)


def log_loss(positive: NDArray[np.bool_], probabilities: Floats, weights: Floats) -> Floats:
    """Mean negative logarithm of the probability given to what was true, in nats."""
    return weighted_mean(log_losses(positive, probabilities), weights)


def log_losses(positive: NDArray[np.bool_], probabilities: Floats) -> Floats:
    """Negative logarithm of the probability given to what was true, of each row, in nats: (rows,)."""
    given = np.where(positive, probabilities, 1 - probabilities)
    return -np.log(np.maximum(given, SMALLEST_PROBABILITY))


def calibration_error(positive: NDArray[np.bool_], probabilities: Floats, weights: Floats, bins: int = 10) -> Floats:
    """Expected calibration error: the mean gap between promised and observed share over equally wide bins."""
    member = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    gap = np.zeros((len(probabilities), bins))
    gap[np.arange(len(probabilities)), member] = probabilities - positive
    return _share(np.abs(weights @ gap).sum(axis=1), weights.sum(axis=1))


def _weights_per_score(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    order = np.argsort(scores, kind="stable")
    ordered = weights[:, order]
    values = scores[order]
    first = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    total = np.add.reduceat(ordered, first, axis=1)
    yes = np.add.reduceat(ordered * positive[order], first, axis=1)
    return yes, total - yes


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
