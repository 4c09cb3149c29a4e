"""AUROCs of several cohorts as one: a random-effects mean on the logit scale, and where another cohort's would lie.

Cohorts differ in scanners, patients and tests, so each has an AUROC of its own. The model: the logit of a cohort's AUROC
is normal around a mean with variance tau^2, and is measured with an error whose variance is DeLong's on the logit scale.

No small, kept library has this: statsmodels has, and would be a dependency for these sixty lines alone; its numbers are
those of the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, gammaincc, ndtri, stdtrit
from scipy.stats import qmc

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.intervals import LogitAuroc
from core.evaluation.metrics import Floats

FEWEST_TO_PREDICT = 3
"""Cohorts; with fewer nothing tells how far they differ."""
FEWEST_TO_TRUST = 5
"""Cohorts; with fewer a prediction interval is called unstable."""
MEAN_METHOD = "random effects on the logit scale, tau^2 by Paule and Mandel, Hartung-Knapp"
PREDICTION_METHOD = "confidence distribution of tau^2 (Nagashima, Noma and Furukawa)"
POINTS = 8192
"""Of the prediction interval's distribution, a power of two: other ones move its limits by under 1% of its width."""
STEPS = 300
"""Values of tau^2 between which is interpolated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomEffects:
    """A random-effects mean of several estimates, on their own scale."""

    mean: float
    low: float
    high: float
    tau_squared: float
    """Variance between the cohorts."""
    i_squared: float
    """Share of the variation that is between the cohorts, 0 to 1."""
    predicted: tuple[float, float] | None
    """Where the estimate of another cohort lies; None with fewer than :data:`FEWEST_TO_PREDICT`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledAuroc:
    """The AUROCs of several cohorts as one."""

    mean: Figure
    """``n`` counts cohorts."""
    prediction: Figure
    """The mean, with the limits between which another cohort's AUROC lies; without limits under three cohorts."""
    unstable: bool
    """Whether the prediction interval rests on fewer than five cohorts."""
    tau_squared: float | None
    i_squared: float | None

    def to_dict(self) -> dict[str, object]:
        """As ``external --json`` prints it."""
        return {
            "mean": self.mean.to_dict(),
            "prediction_interval": {**self.prediction.to_dict(), "unstable": self.unstable},
            "tau_squared": self.tau_squared,
            "i_squared": self.i_squared,
        }


def pool_random_effects(estimates: ArrayLike, variances: ArrayLike, confidence: float = 0.95) -> RandomEffects:
    """Return the random-effects mean of estimates with their sampling variances.

    tau^2 is Paule and Mandel's: the value at which the weighted sum of squares is its expectation, k - 1. It has one
    root, found by bisection whatever the data, needs no normal distribution between cohorts, and is among the least
    biased for few and unequal cohorts (Veroniki 2016); REML, the alternative, may fail to converge there. The interval is
    Hartung and Knapp's, with Student's t of k - 1 degrees of freedom. Its factor is never taken below 1: with few cohorts
    that agree by chance it would make the interval narrower than if all cohorts had one AUROC (Knapp and Hartung 2003).

    Parameters
    ----------
    estimates, variances
        Arrays of shape (cohorts,), on a scale where errors are about normal.
    confidence
        Level of both intervals.

    Raises
    ------
    EvaluationError
        Fewer than two estimates, or a variance that is not above 0.

    Notes
    -----
    Paule and Mandel 1982; Hartung and Knapp 2001; Veroniki et al. 2016. The prediction interval: Nagashima, Noma and Furukawa
    2019, "Prediction intervals for random-effects meta-analysis: a confidence distribution approach"; the usual one (Higgins,
    Thompson and Spiegelhalter 2009) takes tau^2 for known, and holds too little where it was estimated as 0
    (benchmarks/bench_external.py).
    """
    y, v = np.asarray(estimates, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    k = len(y)
    if k < 2 or not (v > 0).all():
        raise EvaluationError(f"A mean over cohorts needs two of them at least, each with a variance; there are {k}.")
    tau_squared = _solve_tau_squared(y, v)
    weights = 1 / (v + tau_squared)
    mean = float(weights @ y / weights.sum())
    factor = max(1.0, _weighted_squares(tau_squared, y, v) / (k - 1))
    error = float(np.sqrt(factor / weights.sum()))
    level = 0.5 + confidence / 2
    half = stdtrit(k - 1, level) * error
    spread = _weighted_squares(0.0, y, v)
    return RandomEffects(
        mean=mean,
        low=float(mean - half),
        high=float(mean + half),
        tau_squared=tau_squared,
        i_squared=max(0.0, 1 - (k - 1) / spread) if spread > 0 else 0.0,
        predicted=_predict_further(y, v, level) if k >= FEWEST_TO_PREDICT else None,
    )


def pool_aurocs(cohorts: Sequence[LogitAuroc]) -> PooledAuroc:
    """Return the random-effects mean of AUROCs, pooled as logits and given back as AUROCs, with its prediction interval.

    Notes
    -----
    The logit scale: Snell, Ensor, Debray, Moons and Riley 2018, "Meta-analysis of prediction model performance across
    multiple studies".
    """
    k = len(cohorts)
    if k < 2:
        reason = f"a mean over cohorts needs two of them with an AUROC at least; there {'is' if k == 1 else 'are'} {k}"
        none = Figure(value=None, low=None, high=None, n=k, reason=reason)
        return PooledAuroc(mean=none, prediction=none, unstable=False, tau_squared=None, i_squared=None)
    found = pool_random_effects([one.logit for one in cohorts], [one.variance for one in cohorts])
    mean = float(expit(found.mean))
    low, high = (float(end) for end in expit(found.predicted)) if found.predicted else (None, None)
    prediction = Figure(
        value=mean,
        low=low,
        high=high,
        n=k,
        reason="" if found.predicted else f"no prediction interval from fewer than {FEWEST_TO_PREDICT} cohorts",
        method=PREDICTION_METHOD if found.predicted else "",
    )
    return PooledAuroc(
        mean=Figure(
            value=mean, low=float(expit(found.low)), high=float(expit(found.high)), n=k, method=MEAN_METHOD
        ),
        prediction=prediction,
        unstable=found.predicted is not None and k < FEWEST_TO_TRUST,
        tau_squared=found.tau_squared,
        i_squared=found.i_squared,
    )  # fmt: skip


def _predict_further(y: Floats, v: Floats, level: float) -> tuple[float, float]:
    """Limits between which a further estimate's true value lies: quantiles over all tau^2 that the data allow.

    How far the data speak against a tau^2 is the chance of weighted squares as large as theirs, by a gamma distribution with
    their mean and variance (Biggerstaff and Tweedie 1997). Each tau^2 gives a mean, its error and the spread around it.
    """
    k, weights = len(y), 1 / v
    first, second, third = (float((weights**power).sum()) for power in (1, 2, 3))
    linear, quadratic = first - second / first, second - 2 * third / first + (second / first) ** 2
    scale = max(1e-6, float(y.var(ddof=1)))
    grid = np.r_[0.0, np.geomspace(1e-5 * scale, 1e4 * scale, STEPS)]
    expected = k - 1 + linear * grid
    variance = 2 * (k - 1) + 4 * linear * grid + 2 * quadratic * grid**2
    larger = gammaincc(expected**2 / variance, _weighted_squares(0.0, y, v) * expected / variance)
    # Points that fill the unit cube evenly, the same each time, in the place of random ones.
    points = qmc.Sobol(3, seed=0).random(POINTS)
    tau_squared = np.interp(points[:, 0], larger, grid)
    shares = 1 / (v + tau_squared[:, None])
    means = shares @ y / shares.sum(axis=1)
    errors = np.sqrt((shares * (y - means[:, None]) ** 2).sum(axis=1) / (k - 1) / shares.sum(axis=1))
    further = means + ndtri(points[:, 1]) * np.sqrt(tau_squared) + stdtrit(k - 1, points[:, 2]) * errors
    low, high = np.quantile(further, (1 - level, level))
    return float(low), float(high)


def _weighted_squares(tau_squared: float, y: Floats, v: Floats) -> float:
    """Weighted squares of the estimates around their mean; falls as tau^2 grows."""
    weights = 1 / (v + tau_squared)
    mean = weights @ y / weights.sum()
    return float(weights @ (y - mean) ** 2)


def _solve_tau_squared(y: Floats, v: Floats) -> float:
    expected = len(y) - 1
    if _weighted_squares(0.0, y, v) <= expected:
        return 0.0
    # At the estimates' own sum of squares every weight is below its inverse, so the sum is below 1.
    above = float(((y - y.mean()) ** 2).sum())
    return float(brentq(lambda tau: _weighted_squares(tau, y, v) - expected, 0.0, above, xtol=1e-12))
