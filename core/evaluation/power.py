"""Power and sample size for the AUROC."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri, owens_t

from core.errors import EvaluationError

Design = Literal["known", "unpaired", "paired"]
DESIGNS: dict[Design, str] = {
    "known": "one model against a fixed value",
    "unpaired": "two models, each on patients of its own",
    "paired": "two models on the same patients",
}
MOST_PATIENTS = 10_000_000
FEWEST_PATIENTS = 8


def auroc_variance(value: float, patients: float, prevalence: float = 0.525) -> float:
    """Return the variance of an empirical AUROC under the binormal model of equal variances; exact, not asymptotic.

    Parameters
    ----------
    value
        The true AUROC.
    patients
        Patients of both classes.
    prevalence
        Share of the positive class.

    Notes
    -----
    ``(A (1 - A) + (m + n - 2) (Q - A^2)) / (m n)`` with ``Q`` the chance that two positive patients both score above
    one negative, here a bivariate normal probability by Owen's T. At 0.5 it is the Mann-Whitney variance
    ``(m + n + 1) / (12 m n)``. Hanley and McNeil 1982 approximate Q by ``A / (2 - A)``.
    """
    m, n = prevalence * patients, (1 - prevalence) * patients
    height = ndtri(value)
    both = ndtr(height) - 2 * owens_t(height, 1 / np.sqrt(3))
    return float((value * (1 - value) + (m + n - 2) * (both - value**2)) / (m * n))


def power_of(
    value: float,
    other: float = 0.5,
    *,
    patients: float,
    design: Design = "known",
    correlation: float = 0.5,
    prevalence: float = 0.525,
    confidence: float = 0.95,
) -> float:
    """Return the chance that so many patients tell `value` from `other`, two-sided.

    Parameters
    ----------
    value, other
        The true AUROCs.
    patients
        Patients evaluated; with the design "unpaired", by each model.
    design
        "known": `other` is a fixed number, such as 0.5. "unpaired" and "paired": it is another model's.
    correlation
        Of the two models' empirical AUROCs, for "paired": 0.5 for models of different kinds, 0.8 and more for
        relatives.
    prevalence
        Share of the positive class (0.525 in the competition's cohort).
    confidence
        One less the chance to tell apart what is equal.

    Raises
    ------
    EvaluationError
        An AUROC is not strictly between 0 and 1, or there are fewer than eight patients.
    """
    if not (0 < value < 1 and 0 < other < 1):
        raise EvaluationError(f"An AUROC of {value:g} or {other:g} cannot be planned for; give values between 0 and 1.")
    if patients < FEWEST_PATIENTS:
        raise EvaluationError(f"{patients:g} patients are too few to plan with; give at least {FEWEST_PATIENTS}.")
    if design == "known":
        null, real = auroc_variance(other, patients, prevalence), auroc_variance(value, patients, prevalence)
    else:
        shared = correlation if design == "paired" else 0.0
        of_value, of_other = (auroc_variance(area, patients, prevalence) for area in (value, other))
        real = of_value + of_other - 2 * shared * np.sqrt(of_value * of_other)
        null = 2 * (1 - shared) * auroc_variance((value + other) / 2, patients, prevalence)
    limit = ndtri(0.5 + confidence / 2) * np.sqrt(null)
    gap = abs(value - other)
    error = np.sqrt(real)
    if error == 0:
        return float(gap > 0)
    return float(ndtr((gap - limit) / error) + ndtr((-gap - limit) / error))


def patients_needed(
    value: float,
    other: float = 0.5,
    *,
    power: float = 0.8,
    design: Design = "known",
    correlation: float = 0.5,
    prevalence: float = 0.525,
    confidence: float = 0.95,
) -> int | None:
    """Return the smallest number of patients with that power; None where ten million are too few.

    The parameters are those of :func:`power_of`; with "unpaired" it is the number for each model.
    """

    def enough(count: int) -> bool:
        reached = power_of(
            value,
            other,
            patients=count,
            design=design,
            correlation=correlation,
            prevalence=prevalence,
            confidence=confidence,
        )
        return reached >= power

    if not enough(MOST_PATIENTS):
        return None
    low, high = FEWEST_PATIENTS - 1, MOST_PATIENTS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def smallest_auroc(patients: int, *, power: float = 0.8, prevalence: float = 0.525) -> float:
    """Return the smallest AUROC that so many patients tell from 0.5 with that power."""
    low, high = 0.5, 0.9999
    for _ in range(40):
        middle = (low + high) / 2
        reached = power_of(middle, patients=patients, prevalence=prevalence) >= power
        low, high = (low, middle) if reached else (middle, high)
    return high
