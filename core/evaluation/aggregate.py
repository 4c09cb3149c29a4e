"""From the logits of slices to the logits of patients."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from core.errors import EvaluationError

Aggregation = Literal["mean_logit", "max", "vote", "top_k"]
AGGREGATIONS: tuple[Aggregation, ...] = ("mean_logit", "max", "vote", "top_k")


def to_groups(
    logits: ArrayLike,
    groups: ArrayLike,
    method: Aggregation = "mean_logit",
    *,
    positive_class: int = 1,
    k: int = 3,
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Combine the logits of each group's rows into one row of logits.

    Parameters
    ----------
    logits
        Array of shape (rows, classes).
    groups
        Array of shape (rows,): the patient (or study) of each row, as text.
    method
        ``mean_logit``: the mean of the rows' logits. ``max``: the logits of the row that speaks most for the
        positive class. ``top_k``: the mean of the `k` such rows (of all where there are fewer). ``vote``: each
        row votes for its largest logit; the logarithms of the classes' shares of votes, half a vote added to each
        class so that none is infinite.
    positive_class
        Index of the class that ``max`` and ``top_k`` look for.
    k
        Number of rows that ``top_k`` takes.

    Returns
    -------
    tuple
        The groups' names, sorted, of shape (groups,), and their logits, of shape (groups, classes). The softmax
        of a row is a probability for every method.

    Raises
    ------
    EvaluationError
        The shapes disagree, or the method does not exist.
    """
    scores = np.asarray(logits, dtype=np.float64)
    names = np.asarray(groups, dtype=np.str_)
    if scores.ndim != 2 or len(scores) != len(names):
        raise EvaluationError(
            f"Logits of shape {scores.shape} and {len(names)} group names do not fit; give one row of logits per name."
        )
    if method not in AGGREGATIONS:
        raise EvaluationError(f"There is no aggregation {method!r}; choose one of: {', '.join(AGGREGATIONS)}.")
    found, member = np.unique(names, return_inverse=True)
    if method == "mean_logit":
        return found, _mean_per_group(scores, member, len(found))
    if method == "vote":
        votes = np.zeros((len(found), scores.shape[1]))
        np.add.at(votes, (member, scores.argmax(axis=1)), 1.0)
        return found, np.log((votes + 0.5) / (votes + 0.5).sum(axis=1, keepdims=True))
    kept = _strongest(log_odds(scores, positive_class), member, 1 if method == "max" else k)
    return found, _mean_per_group(scores[kept], member[kept], len(found))


def group_labels(labels: ArrayLike, groups: ArrayLike) -> NDArray[np.int64]:
    """Return each group's label, in the order of :func:`to_groups`: array of shape (groups,).

    Raises
    ------
    EvaluationError
        A group has rows of different labels.
    """
    truth = np.asarray(labels, dtype=np.int64)
    found, first, member = np.unique(np.asarray(groups, dtype=np.str_), return_index=True, return_inverse=True)
    one_each = truth[first]
    wrong = np.flatnonzero(truth != one_each[member])
    if len(wrong):
        name = found[member[wrong[0]]]
        raise EvaluationError(f"{name} has slices of different labels; give every slice of a patient one label.")
    return one_each


def log_odds(logits: ArrayLike, positive_class: int = 1) -> NDArray[np.float64]:
    """Return log p / (1 - p) of one class under the softmax: (rows, classes) -> (rows,)."""
    scores = np.asarray(logits, dtype=np.float64)
    if scores.shape[1] == 1:
        return np.zeros(len(scores))
    return scores[:, positive_class] - logsumexp(np.delete(scores, positive_class, axis=1), axis=1)


def _mean_per_group(scores: NDArray[np.float64], member: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    sums = np.stack([np.bincount(member, column, minlength=count) for column in scores.T], axis=1)
    return sums / np.bincount(member, minlength=count)[:, None]


def _strongest(odds: NDArray[np.float64], member: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    order = np.lexsort((-odds, member))
    start = np.searchsorted(member[order], np.arange(member.max(initial=-1) + 1))
    rank = np.arange(len(order)) - start[member[order]]
    return order[rank < k]
