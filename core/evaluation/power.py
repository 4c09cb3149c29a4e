"""Power, and how many patients a study takes: to tell an AUROC, to develop a model, to validate one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit, ndtr, ndtri, owens_t, stdtrit

from core.errors import EvaluationError
from core.evaluation.folds import sharing_factor
from core.evaluation.metrics import Floats

Design = Literal["known", "folds", "unpaired", "paired"]
DESIGNS: dict[Design, str] = {
    "known": "one model against a fixed value",
    "folds": "cross-validation over all patients, against a fixed value",
    "unpaired": "two models, each on patients of its own",
    "paired": "two models on the same patients",
}
MOST_PATIENTS = 10_000_000
FEWEST_PATIENTS = 8
FEWEST_OF_FOLD = 4
"""Patients that one fold evaluates, two of each class."""
FOLDS = 5
FEATURES = 30
"""Of the linear network whose share of chance is planned with (:func:`_noise_share`). An AUROC alone does not tell it: in
``benchmarks/bench_folds.py`` and beside it, 2 features had up to 4 points more power than planned, 200 up to 4 less."""


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
    folds: int = FOLDS,
) -> float:
    """Return the chance that so many patients tell `value` from `other`, two-sided.

    Parameters
    ----------
    value, other
        The true AUROCs.
    patients
        Patients evaluated; with the design "unpaired", by each model.
    design
        "known": `other` is a fixed number, such as 0.5. "folds": so, too, and `value` is what the folds' networks are worth
        on average; each patient is evaluated once, in `folds` folds. "unpaired" and "paired": it is another model's.
    correlation
        Of the two models' empirical AUROCs, for "paired": 0.5 for models of different kinds, 0.8 and more for
        relatives.
    prevalence
        Share of the positive class (0.525 in the competition's cohort).
    confidence
        One less the chance to tell apart what is equal.
    folds
        For "folds": the interval is that of :func:`core.evaluation.folds.mean_auroc_interval`.

    Raises
    ------
    EvaluationError
        An AUROC is not strictly between 0 and 1, or there are fewer than eight patients, or four for each fold.
    """
    if not (0 < value < 1 and 0 < other < 1):
        raise EvaluationError(f"An AUROC of {value:g} or {other:g} cannot be planned for; give values between 0 and 1.")
    fewest = FEWEST_OF_FOLD * folds if design == "folds" else FEWEST_PATIENTS
    if patients < fewest:
        raise EvaluationError(f"{patients:g} patients are too few to plan with; give at least {fewest}.")
    if design == "folds":
        above, base = (value, other) if value >= other else (1 - value, 1 - other)
        share = _noise_share(above, (1 - 1 / folds) * patients, prevalence)
        centre, spread = _probit(above, _mean_variance(above, patients, prevalence, folds, share))
        told = _smallest_told(base, patients, prevalence, confidence, folds)
        return float(ndtr((centre - ndtri(told)) / spread))
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


def _smallest_told(other: float, patients: float, prevalence: float, confidence: float, folds: int) -> float:
    """The smallest mean of the folds' AUROCs whose interval lies above `other`."""
    quantile = stdtrit(max(1.0, patients - 2 * folds), 0.5 + confidence / 2)
    widened = sharing_factor(folds) - 1

    def told(mean: float) -> bool:
        error = np.sqrt(_mean_variance(mean, patients, prevalence, folds, widened)) / (mean * (1 - mean))
        return bool(logit(mean) - quantile * error > logit(other))

    return _smallest(told, other, 1 - 1e-9)


def _noise_share(value: float, trained: float, prevalence: float) -> float:
    """How much of the networks chance made: the share nu of :class:`core.evaluation.folds.SharedTraining`.

    It is that of the difference of the class means of :data:`FEATURES` independent features, of `trained` patients, whose
    network is worth `value`: its weights are the effect and, a feature, noise of variance ``1/m + 1/n``.
    """
    reach = 2 * ndtri(value) ** 2
    noise = FEATURES / (trained * prevalence * (1 - prevalence))
    effect = (reach + np.sqrt(reach**2 + 4 * reach * noise)) / 2
    return float(noise / (effect + noise))


def _probit(value: float, variance: float) -> tuple[float, float]:
    """Mean and standard deviation of the normal variable whose Phi has that mean and variance: an AUROC is skewed so."""
    height = ndtri(value)

    def enough(spread: float) -> bool:
        return bool(value - 2 * owens_t(height, 1 / np.sqrt(1 + 2 * spread**2)) - value**2 >= variance)

    spread = _smallest(enough, 0.0, 100.0)
    return float(height * np.sqrt(1 + spread**2)), spread


def _smallest(enough: Callable[[float], bool], low: float, high: float) -> float:
    """The smallest number that is enough, between `low`, which is not, and `high`, which is."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _mean_variance(value: float, patients: float, prevalence: float, folds: int, widened: float) -> float:
    """Variance of the mean of the folds' AUROCs where chance made the networks, the binormal model given.

    The share of an AUROC's variance that is linear in normal scores is ``E[h']^2 / Var h``, h a patient's placement; that
    share counts `widened` times more (:func:`core.evaluation.folds.sharing_factor`).
    """
    height = ndtri(value)
    spread = ndtr(height) - 2 * owens_t(height, 1 / np.sqrt(3)) - value**2
    tied = float(np.exp(-(height**2)) / (4 * np.pi) / spread) if spread > 0 else 0.0
    return auroc_variance(value, patients / folds, prevalence) / folds * (1 + widened * tied)


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
    low, high = (FEWEST_OF_FOLD * FOLDS if design == "folds" else FEWEST_PATIENTS) - 1, MOST_PATIENTS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def smallest_auroc(patients: int, *, power: float = 0.8, prevalence: float = 0.525, design: Design = "known") -> float:
    """Return the smallest AUROC that so many patients tell from 0.5 with that power; a design of one model."""

    def enough(value: float) -> bool:
        return power_of(value, patients=patients, prevalence=prevalence, design=design) >= power

    return _smallest(enough, 0.5, 0.9999)


SHRINKAGE, R2_OPTIMISM, RISK_MARGIN = 0.9, 0.05, 0.05
SLOPE_WIDTH, AUROC_WIDTH, RATIO_WIDTH = 0.4, 0.1, 0.2
"""Widths of the 95% intervals that a validation should reach, around a slope and an O:E of 1."""


def development_sizes(auroc: float, parameters: int, prevalence: float = 0.525) -> dict[str, int]:
    """Return how many patients it takes to develop a regression, by each of Riley's criteria; the largest counts.

    Parameters
    ----------
    auroc
        What the model is hoped to reach on new patients; its R2 (Cox-Snell) follows from the binormal model.
    parameters
        Coefficients that are considered, also those that are not kept. A network has no such number: these sizes are the
        least that a plain model on so many features would need.
    prevalence
        Share of the positive class.

    Returns
    -------
    dict
        ``shrinkage`` (expected 0.9 at least), ``optimism`` (of Nagelkerke's R2, at most 0.05) and ``risk`` (the overall risk
        within 0.05).

    Raises
    ------
    EvaluationError
        The AUROC is not between 0.5 and 1.

    Notes
    -----
    Riley et al. 2019, "Minimum sample size for developing a multivariable prediction model: Part II", Stat. Med. 38:1276, and
    2020, BMJ 368:m441; R2 from the C statistic: Riley et al. 2021, Stat. Med. 40:859.
    """
    odds, weight, label = _log_odds(auroc, prevalence)
    likelihood = float(weight @ np.where(label, log_expit(odds), log_expit(-odds)))
    null = float(prevalence * np.log(prevalence) + (1 - prevalence) * np.log(1 - prevalence))
    return development_sizes_of_r2(1 - float(np.exp(2 * (null - likelihood))), parameters, prevalence)


def development_sizes_of_r2(r2: float, parameters: int, prevalence: float) -> dict[str, int]:
    """Return :func:`development_sizes` for an R2 (Cox-Snell) that is known."""
    most = 1 - (prevalence**prevalence * (1 - prevalence) ** (1 - prevalence)) ** 2

    def size(shrinkage: float) -> int:
        return int(np.ceil(parameters / ((shrinkage - 1) * np.log(1 - r2 / shrinkage))))

    return {
        "shrinkage": size(SHRINKAGE),
        "optimism": size(r2 / (r2 + R2_OPTIMISM * most)),
        "risk": int(np.ceil((ndtri(0.975) / RISK_MARGIN) ** 2 * prevalence * (1 - prevalence))),
    }


def validation_sizes(auroc: float, prevalence: float = 0.525) -> dict[str, int]:
    """Return how many patients it takes to validate a calibrated model, by each of Riley's criteria; the largest counts.

    Returns
    -------
    dict
        For 95% intervals as wide as :data:`SLOPE_WIDTH`, :data:`RATIO_WIDTH` and :data:`AUROC_WIDTH`: ``slope``
        (calibration), ``observed_expected`` and ``auroc``. The log odds are those of the binormal model.

    Raises
    ------
    EvaluationError
        The AUROC is not between 0.5 and 1.

    Notes
    -----
    Riley et al. 2021, "Minimum sample size for external validation of a clinical prediction model with a binary outcome",
    Stat. Med. 40:4230; the AUROC's variance is Newcombe's, 2006.
    """
    odds, weight, _ = _log_odds(auroc, prevalence)
    return {
        "slope": slope_size(odds, weight, SLOPE_WIDTH),
        "observed_expected": ratio_size(prevalence, RATIO_WIDTH),
        "auroc": auroc_size(auroc, prevalence, AUROC_WIDTH),
    }


def slope_size(odds: Floats, weight: Floats, width: float) -> int:
    """Return the patients for a calibration slope's interval of a width; log odds with their weights, of sum 1."""
    risk = expit(odds)
    none, one, two = (float(weight @ (risk * (1 - risk) * odds**power)) for power in range(3))
    return int(np.ceil(none / ((width / 2 / ndtri(0.975)) ** 2 * (none * two - one**2))))


def ratio_size(prevalence: float, width: float) -> int:
    """Return the patients for an interval of O:E around 1, of a width."""
    error = np.arcsinh(width / 2) / ndtri(0.975)
    return int(np.ceil((1 - prevalence) / (prevalence * error**2)))


def auroc_size(auroc: float, prevalence: float, width: float) -> int:
    """Return the patients for an AUROC's interval of a width."""
    both = (1 - auroc) / (2 - auroc) + auroc / (1 + auroc)
    scale = auroc * (1 - auroc) / (prevalence * (1 - prevalence))
    error = (width / 2 / ndtri(0.975)) ** 2
    # Newcombe: error = scale (1 + (n / 2 - 1) both) / n^2, solved for n.
    half = scale * both / 4
    return int(np.ceil((half + np.sqrt(half**2 + error * scale * (1 - both))) / error))


def _log_odds(auroc: float, prevalence: float) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The true log odds of the binormal model, with their weights and labels."""
    if not 0.5 < auroc < 1:
        raise EvaluationError(f"An AUROC of {auroc:g} cannot be planned for; give a value between 0.5 and 1.")
    distance = float(np.sqrt(2) * ndtri(auroc))
    nodes, mass = np.polynomial.hermite_e.hermegauss(80)
    mass = mass / mass.sum()
    label = np.repeat([True, False], len(nodes))
    score = np.tile(nodes, 2) + distance * (label - 0.5)
    odds = distance * score + np.log(prevalence / (1 - prevalence))
    return odds, np.concatenate([prevalence * mass, (1 - prevalence) * mass]), label
