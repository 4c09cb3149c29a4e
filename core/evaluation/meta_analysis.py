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
from scipy.special import expit, stdtrit

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.intervals import LogitAuroc
from core.evaluation.metrics import Floats

FEWEST_TO_PREDICT = 3
"""Cohorts; with fewer the prediction interval has no degree of freedom."""
FEWEST_TO_TRUST = 5
"""Cohorts; with fewer a prediction interval is called unstable."""
MEAN_METHOD = "random effects on the logit scale, tau^2 by Paule and Mandel, Hartung-Knapp"
PREDICTION_METHOD = "Student's t with k - 2 degrees of freedom (Higgins, Thompson and Spiegelhalter)"


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
    Paule and Mandel 1982; Hartung and Knapp 2001; Veroniki et al. 2016; Higgins, Thompson and Spiegelhalter 2009.
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
    predicted = None
    if k >= FEWEST_TO_PREDICT:
        wide = stdtrit(k - 2, level) * np.sqrt(tau_squared + error**2)
        predicted = float(mean - wide), float(mean + wide)
    spread = _weighted_squares(0.0, y, v)
    return RandomEffects(
        mean=mean,
        low=float(mean - half),
        high=float(mean + half),
        tau_squared=tau_squared,
        i_squared=max(0.0, 1 - (k - 1) / spread) if spread > 0 else 0.0,
        predicted=predicted,
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
