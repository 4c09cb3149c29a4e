"""Operating points by threshold, and the net benefit of acting on them (decision curve)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.intervals import share_figure, wilson_interval
from core.evaluation.metrics import Floats
from core.evaluation.selection import WITHHELD, withhold_intervals

LOWEST, HIGHEST = 0.1, 0.9
"""Threshold probabilities that a decision curve is read between unless others are stated before it is seen."""
DRAWS = 2000
"""Of the band's bootstrap."""

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
    """Ends of the model's 95 % band, which holds at all thresholds together."""
    high: Floats
    all: Floats
    """Of calling everybody positive; calling nobody has none, neither good nor bad."""
    gain_low: Floats
    """Lower end of the band of what the model adds to the better of both, at all thresholds together."""
    n: int

    @property
    def adds(self) -> Floats:
        """Thresholds at which the model adds something to calling everybody, and to calling nobody, positive."""
        return self.thresholds[self.gain_low > 0]


def evaluate_thresholds(
    positive: ArrayLike, probabilities: ArrayLike, thresholds: ArrayLike, *, selected: bool = False
) -> list[OperatingPoint]:
    """Compute sensitivity, specificity and predictive values at each threshold, each with Wilson's interval.

    Parameters
    ----------
    positive
        Array of shape (patients,), true for the positive class.
    probabilities
        Array of shape (patients,), of the positive class.
    thresholds
        Array of shape (thresholds,).
    selected
        These patients chose the epoch and the threshold: no interval.
    """
    truth = np.asarray(positive, dtype=bool)
    probability = np.asarray(probabilities, dtype=np.float64)
    points = []
    for threshold in np.asarray(thresholds, dtype=np.float64):
        called = probability >= threshold
        shares = {
            "sensitivity": share_figure(called[truth], "none is positive"),
            "specificity": share_figure(~called[~truth], "none is negative"),
            "positive_value": share_figure(truth[called], "nobody is called positive"),
            "negative_value": share_figure(~truth[~called], "nobody is called negative"),
        }
        shares = withhold_intervals(shares) if selected else shares
        points.append(OperatingPoint(threshold=float(threshold), called=int(called.sum()), **shares))
    return points


def values_at_prevalence(point: OperatingPoint, prevalence: float) -> dict[str, Figure]:
    """Return the predictive values of an operating point where another share of the patients is positive.

    Sensitivity and specificity are taken as they are: right where patients are positive more or less often than these, but
    look the same when they are. Each is given limits that hold in the root of 95%, so the ends, from both lower and both upper
    limits, hold in 95% or more.

    Parameters
    ----------
    point
        Of :func:`evaluate_thresholds`.
    prevalence
        Share of positive patients, between 0 and 1.

    Returns
    -------
    dict
        ``positive_value`` and ``negative_value``; n is that of sensitivity and specificity together.

    Raises
    ------
    EvaluationError
        The prevalence is not between 0 and 1.
    """
    _check_shares(prevalence)
    values = {
        "positive_value": _value_at(prevalence, point.sensitivity, point.specificity),
        "negative_value": _value_at(1 - prevalence, point.specificity, point.sensitivity),
    }
    return withhold_intervals(values) if WITHHELD in (point.sensitivity.reason, point.specificity.reason) else values


def shift_prevalence(probabilities: ArrayLike, base_rate: float, prevalence: float) -> Floats:
    """Return probabilities as they are where `prevalence` of the patients are positive instead of `base_rate`.

    Their log odds move by the difference of both log odds, under the condition of :func:`values_at_prevalence`.

    Raises
    ------
    EvaluationError
        A share is not between 0 and 1.

    Notes
    -----
    Saerens, Latinne and Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori probabilities".
    """
    _check_shares(base_rate, prevalence)
    return expit(logit(np.asarray(probabilities, dtype=np.float64)) + logit(prevalence) - logit(base_rate))


def _check_shares(*shares: float) -> None:
    for share in shares:
        if not 0 < share < 1:
            raise EvaluationError(f"A prevalence of {share:g} cannot be; give a share between 0 and 1, such as 0.3.")


def _value_at(prevalence: float, found: Figure, spared: Figure) -> Figure:
    n = found.n + spared.n
    if found.value is None or spared.value is None:
        return Figure(value=None, low=None, high=None, n=n, reason=found.reason or spared.reason)
    ends = [
        wilson_interval(round(one.value * one.n), one.n, np.sqrt(0.95))
        for one in (found, spared)
        if one.value is not None
    ]

    def value(found: float, spared: float) -> float | None:
        called = prevalence * found + (1 - prevalence) * (1 - spared)
        return prevalence * found / called if called else None

    return Figure(
        value=value(found.value, spared.value), low=value(ends[0][0], ends[1][0]), high=value(ends[0][1], ends[1][1]), n=n,
        method="Wilson's limits of sensitivity and specificity, both together",
    )  # fmt: skip


def decision_curve(
    positive: ArrayLike,
    probabilities: ArrayLike,
    thresholds: ArrayLike | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    selected: bool = False,
) -> DecisionCurve:
    """Return the net benefit of acting on a model, per patient, in units of true positives, with a simultaneous band.

    ``TP / n - FP / n * t / (1 - t)``: a threshold probability of t says that a false alarm weighs ``t / (1 - t)`` of a
    found patient. The band comes from the spread of the patients' own contributions, and is as wide as the largest deviation
    over all thresholds asks for: who searches a curve for a place where it looks good finds one by chance less often than the
    level says. Among noise it finds one in under 1%, where pointwise intervals do in 3 to 12% (``tests/evaluation``).

    Parameters
    ----------
    positive, probabilities
        Arrays of shape (patients,).
    thresholds
        Those that are stated before the curve is seen; by default 0.10, 0.11 to 0.90.
    confidence
        Level of the band.
    seed
        Of the bootstrap.
    selected
        These patients chose the epoch and the threshold: no band (not a number), and it is shown to add nowhere.

    Notes
    -----
    Vickers and Elkin 2006, "Decision curve analysis: a novel method for evaluating prediction models". The band: a Gaussian
    multiplier bootstrap of the largest standardized deviation (Chernozhukov, Chetverikov and Kato 2013). Where few patients are
    called, or few are not, none of them may be of the rarer class and the spread looks like 0; a contribution is therefore
    never taken to vary less than where the model is of no use, that is where a share of t of those patients are positive.
    """
    truth = np.asarray(positive, dtype=bool)
    grid = np.linspace(LOWEST, HIGHEST, 81) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    called = np.asarray(probabilities, dtype=np.float64)[:, None] >= grid
    each = np.where(truth[:, None], 1.0, -grid / (1 - grid))
    n, every = len(truth), each.mean(axis=0)
    gained = np.where(called, each, 0.0)
    model = gained.mean(axis=0)
    counts = np.concatenate([called.sum(axis=0), n - called.sum(axis=0)])
    useless = np.sqrt(counts * np.tile(grid / (1 - grid), 2)) / n
    half = _simultaneous_half(np.concatenate([gained, gained - each], axis=1), useless, confidence, seed, below=True)
    of_model = _simultaneous_half(gained, useless[: len(grid)], confidence, seed)
    if selected:
        half, of_model = np.full_like(half, np.nan), np.full_like(of_model, np.nan)
    return DecisionCurve(
        thresholds=grid,
        model=model,
        low=model - of_model,
        high=model + of_model,
        all=every,
        gain_low=np.minimum(model - half[: len(grid)], model - every - half[len(grid) :]),
        n=n,
    )


def decision_words(curve: DecisionCurve) -> str:
    """Say where the model adds something to both of calling everybody and nobody positive, as a sentence."""
    between = f"the thresholds from {curve.thresholds.min():.2f} to {curve.thresholds.max():.2f}"
    if np.isnan(curve.gain_low).all():
        return f"Where it adds something to both cannot be said: {WITHHELD}."
    if not len(curve.adds):
        return f"Nowhere among {between} is it shown to add something to both."
    first, last = curve.adds.min(), curve.adds.max()
    return f"Of {between} it adds something to both at {first:.2f}{f' to {last:.2f}' if last > first else ' alone'}."


def _simultaneous_half(values: Floats, least: Floats, confidence: float, seed: int, below: bool = False) -> Floats:
    """Half widths of a band around the means over patients (rows), column by column; or how far only its lower ends lie."""
    n = len(values)
    if n < 2:
        return np.full(values.shape[1], np.inf)
    around = values - values.mean(axis=0)
    spread, directions = np.linalg.eigh(around.T @ around / (n - 1) / n)
    noise = np.random.default_rng(seed).standard_normal((DRAWS, len(spread)))
    moved = noise * np.sqrt(np.clip(spread, 0, None)) @ directions.T
    errors = around.std(axis=0, ddof=0) / np.sqrt(n - 1)
    scaled = np.divide(moved, errors, out=np.zeros_like(moved), where=errors > 0)
    largest = (scaled if below else np.abs(scaled)).max(axis=1)
    return np.quantile(largest, confidence) * np.maximum(errors, least)
