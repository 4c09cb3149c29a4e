"""Optimism of the best of several figures: what selection gains where all are equally good."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

from core.errors import EvaluationError

REACH = 12.0
"""Standard deviations to either side within which the integral is taken."""
STEPS = 24_001


def expected_maximum(count: int) -> float:
    """Return the expected largest of `count` independent standard normal numbers.

    The integral of ``x * count * phi(x) * Phi(x)^(count - 1)``: 0 for one, 0.564 for two, 1.867 for twenty.

    Raises
    ------
    EvaluationError
        The count is not a whole number of 1 or more.
    """
    if count < 1:
        raise EvaluationError(f"The largest of {count} numbers does not exist; give at least one.")
    x = np.linspace(-REACH, REACH, STEPS)
    log_density = np.log(count) - x**2 / 2 - np.log(2 * np.pi) / 2 + (count - 1) * log_ndtr(x)
    return float(np.trapezoid(x * np.exp(log_density), x))


def expected_gain(count: int, standard_error: float, correlation: float = 0.0) -> float:
    """Return by how much the best of `count` equally good models exceeds the truth in expectation, by noise alone.

    Parameters
    ----------
    count
        Models that were compared.
    standard_error
        Of one model's figure on these patients (:func:`core.evaluation.power.auroc_variance`, its root).
    correlation
        Between the figures of two models: they share the patients, whose peculiarities move all figures alike and
        select none. 0 is the upper limit.

    Raises
    ------
    EvaluationError
        No model, a negative error, or a correlation that is none.
    """
    if standard_error < 0 or not 0 <= correlation <= 1:
        raise EvaluationError(
            f"A standard error of {standard_error:g} with a correlation of {correlation:g} cannot be; the error is 0 or "
            "more, the correlation between 0 and 1."
        )
    return float(standard_error * np.sqrt(1 - correlation) * expected_maximum(count))
