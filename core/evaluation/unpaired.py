"""Differences between figures of different patients, and means of figures that may share patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.errors import EvaluationError
from core.evaluation.figure import Figure


def unpaired_difference(one: Figure, other: Figure) -> Figure:
    """Return `one` less `other`, of different patients; the distances to their limits add as variances do.

    Returns
    -------
    Figure
        n is that of both together. Without a value where either has none, without an interval where either has none.

    Notes
    -----
    Zou and Donner 2008, "Construction of confidence limits about effect measures: a general approach" (MOVER).
    """
    n = one.n + other.n
    if one.value is None or other.value is None:
        return Figure(value=None, low=None, high=None, n=n, reason=one.reason or other.reason)
    value = one.value - other.value
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Figure(value=value, low=None, high=None, n=n, reason=one.reason or other.reason)
    below = np.hypot(one.value - one.low, other.high - other.value)
    above = np.hypot(one.high - one.value, other.value - other.low)
    return Figure(
        value=value, low=float(value - below), high=float(value + above), n=n, method="limits joined (MOVER), unpaired"
    )


def mean_under_dependence(figures: Sequence[Figure]) -> Figure:
    """Return the mean of figures that may be of the same patients: its limits are the means of theirs.

    Runs of one cohort share patients, so that ten of them may hold no more information than one. A mean is never less certain
    than its parts are on average, however they depend on each other: this interval is conservative.

    Returns
    -------
    Figure
        n counts the figures; without an interval where one of them has none.

    Raises
    ------
    EvaluationError
        No figure, or one without a value.
    """
    values = [figure.value for figure in figures if figure.value is not None]
    if not figures or len(values) < len(figures):
        raise EvaluationError("A mean needs at least one figure, each with a value; leave out those that have none.")
    lows = [figure.low for figure in figures if figure.low is not None]
    highs = [figure.high for figure in figures if figure.high is not None]
    known = len(lows) == len(highs) == len(figures)
    return Figure(
        value=float(np.mean(values)),
        low=float(np.mean(lows)) if known else None,
        high=float(np.mean(highs)) if known else None,
        n=len(figures),
        reason="" if known else "one of them has no interval",
        method="mean of the limits: holds however the figures depend on each other" if known else "",
    )
