"""Operating points by threshold, and the net benefit of acting on them (decision curve)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from core.evaluation.figure import Figure
from core.evaluation.intervals import share_figure
from core.evaluation.metrics import Floats

SHARES: dict[str, str] = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "positive_value": "positive predictive value",
    "negative_value": "negative predictive value",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """Figures when every patient at or above a threshold is called positive."""

    threshold: float
    sensitivity: Figure
    """Share of the positive patients that are called; its n is theirs."""
    specificity: Figure
    positive_value: Figure
    """Share of the called patients that are positive, at this cohort's share of positives."""
    negative_value: Figure
    called: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecisionCurve:
    """Net benefit against the threshold probability; arrays of shape (thresholds,)."""

    thresholds: Floats
    model: Floats
    low: Floats
    """Ends of the model's pointwise 95 % interval."""
    high: Floats
    all: Floats
    """Of calling everybody positive; calling nobody has none, neither good nor bad."""
    gain_low: Floats
    """Lower end of the interval of what the model adds to the better of both, compared patient by patient."""
    n: int


def evaluate_thresholds(positive: ArrayLike, probabilities: ArrayLike, thresholds: ArrayLike) -> list[OperatingPoint]:
    """Compute sensitivity, specificity and predictive values at each threshold, each with Wilson's interval.

    Parameters
    ----------
    positive
        Array of shape (patients,), true for the positive class.
    probabilities
        Array of shape (patients,), of the positive class.
    thresholds
        Array of shape (thresholds,).
    """
    truth = np.asarray(positive, dtype=bool)
    probability = np.asarray(probabilities, dtype=np.float64)
    points = []
    for threshold in np.asarray(thresholds, dtype=np.float64):
        called = probability >= threshold
        points.append(
            OperatingPoint(
                threshold=float(threshold),
                sensitivity=share_figure(called[truth], "none is positive"),
                specificity=share_figure(~called[~truth], "none is negative"),
                positive_value=share_figure(truth[called], "nobody is called positive"),
                negative_value=share_figure(~truth[~called], "nobody is called negative"),
                called=int(called.sum()),
            )
        )
    return points


def decision_curve(
    positive: ArrayLike, probabilities: ArrayLike, thresholds: ArrayLike | None = None, confidence: float = 0.95
) -> DecisionCurve:
    """Compute the net benefit of acting on a model, per patient, in units of true positives.

    ``TP / n - FP / n * t / (1 - t)``: a threshold probability of t says that a false alarm weighs ``t / (1 - t)`` of a
    found patient. The interval comes from the spread of the patients' own contributions.

    Notes
    -----
    Vickers and Elkin 2006, "Decision curve analysis: a novel method for evaluating prediction models".
    """
    truth = np.asarray(positive, dtype=bool)
    probability = np.asarray(probabilities, dtype=np.float64)
    grid = np.linspace(0.01, 0.99, 99) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    weight = grid / (1 - grid)
    each = np.where(truth[:, None], 1.0, -weight)
    gained = np.where(probability[:, None] >= grid, each, 0.0)
    n = len(truth)
    model, low, high = _mean_with_interval(gained, confidence)
    gain_low = np.minimum(low, _mean_with_interval(gained - each, confidence)[1])
    return DecisionCurve(
        thresholds=grid, model=model, low=low, high=high, all=each.mean(axis=0), gain_low=gain_low, n=n
    )


def _mean_with_interval(values: Floats, confidence: float) -> tuple[Floats, Floats, Floats]:
    """Mean over patients (rows) with its normal interval, column by column."""
    mean = values.mean(axis=0)
    if len(values) < 2:
        return mean, np.full_like(mean, -np.inf), np.full_like(mean, np.inf)
    half = ndtri(0.5 + confidence / 2) * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return mean, mean - half, mean + half
