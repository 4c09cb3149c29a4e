"""Calibrate logits by temperature, choose the operating point, and measure how far probabilities are off."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_softmax, ndtri, softmax, stdtrit

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.intervals import auroc_interval, share_figure, wilson_interval
from core.evaluation.metrics import Floats, calibration_error

STEPS = 500
"""Of Newton's method; it takes under ten, and more where scores have long tails."""
SEPARATED = "the classes are separated, so that no finite value fits best"
PRIOR_SPREAD = 1.0
"""Standard deviation of the prior on log temperature: with few patients the temperature stays near 1."""
CALIBRATION_TITLES = {
    "slope": "Calibration slope",
    "intercept": "Calibration in the large",
    "observed_expected": "Observed : expected",
    "ece": "Expected calibration error",
    "base_rate": "Base rate",
}
NOT_SHOWN = "discrimination is not shown (the AUROC's interval holds 0.5): the base rate says as much"
NOISE_DRAWS = 4000
"""Of the noise in the bins of a calibration error."""


def to_probabilities(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return softmax(logits / temperature): (rows, classes) -> (rows, classes)."""
    return softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)


def fit_temperature(labels: ArrayLike, logits: ArrayLike) -> float:
    """Find the temperature that makes the logits most probable on validation patients.

    A weak normal prior on its logarithm keeps it finite: patients that are separated perfectly would otherwise
    ask for a temperature of 0, which is certainty about everybody. The order of the patients does not change.

    Parameters
    ----------
    labels
        Array of shape (patients,), class indices.
    logits
        Array of shape (patients, classes).

    Returns
    -------
    float
        Temperature between 0.05 and 20; 1 where there are no patients or only one class.

    Notes
    -----
    Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """
    truth = np.asarray(labels, dtype=np.int64)
    scores = np.asarray(logits, dtype=np.float64)
    if len(np.unique(truth)) < 2:
        return 1.0

    def cost(log_temperature: float) -> float:
        likelihood = log_softmax(scores / np.exp(log_temperature), axis=1)[np.arange(len(truth)), truth].sum()
        return float(-likelihood + (log_temperature / PRIOR_SPREAD) ** 2 / 2)

    # Scipy loads its optimisers when they are first named: a prediction needs none.
    found = scipy.optimize.minimize_scalar(cost, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def calibrate_left_out(
    labels: ArrayLike, logits: ArrayLike, folds: int = 5, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each patient's probabilities with a temperature fitted on the patients of the other folds.

    A temperature evaluated on the patients it was fitted to is optimistic; these probabilities may be evaluated on all.

    Parameters
    ----------
    labels
        Array of shape (patients,), class indices.
    logits
        Array of shape (patients, classes).
    folds
        How many; each class is spread over them evenly.
    seed
        Of the folds.

    Returns
    -------
    tuple
        Probabilities of shape (patients, classes), and the temperature of each fold, of shape (folds,).
    """
    truth = np.asarray(labels, dtype=np.int64)
    scores = np.asarray(logits, dtype=np.float64)
    fold = deal_evenly(truth, folds, seed)
    temperatures = np.ones(folds)
    probabilities = np.empty(scores.shape)
    for index in range(folds):
        inside = fold == index
        temperatures[index] = fit_temperature(truth[~inside], scores[~inside])
        probabilities[inside] = to_probabilities(scores[inside], temperatures[index])
    return probabilities, temperatures


def deal_evenly(labels: ArrayLike, folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Return the fold of each patient, from 0, each class spread over them evenly: (patients,)."""
    truth = np.asarray(labels)
    order = np.random.default_rng(seed).permutation(len(truth))
    order = order[np.argsort(truth[order], kind="stable")]
    fold = np.empty(len(truth), dtype=np.int64)
    fold[order] = np.arange(len(truth)) % folds
    return fold


def choose_threshold(labels: ArrayLike, probabilities: ArrayLike, positive_class: int = 1) -> float:
    """Choose the threshold with the largest Youden's J (sensitivity + specificity - 1) on validation patients.

    Candidates are 0.5 and the middles between neighbouring probabilities; among equals the one nearest to 0.5
    is taken. A row is called positive when its probability is at least the threshold.

    Parameters
    ----------
    labels
        Array of shape (patients,), class indices.
    probabilities
        Array of shape (patients,): probability of the positive class.
    positive_class
        Index of the positive class.

    Returns
    -------
    float
        Threshold; 0.5 where only one class is present.
    """
    truth = np.asarray(labels) == positive_class
    probability = np.asarray(probabilities, dtype=np.float64)
    if truth.all() or not truth.any():
        return 0.5
    distinct = np.unique(probability)
    candidates = np.r_[0.5, (distinct[1:] + distinct[:-1]) / 2]
    called = probability[None, :] >= candidates[:, None]
    youden = called[:, truth].mean(axis=1) - called[:, ~truth].mean(axis=1)
    best = candidates[youden >= youden.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def measure_calibration(positive: ArrayLike, odds: ArrayLike, *, slope_anyway: bool = False) -> dict[str, Figure]:
    """Return how far probabilities are off on patients that did not calibrate them, a row a patient.

    Parameters
    ----------
    positive
        Array of shape (patients,), true for the positive class.
    odds
        Array of shape (patients,): calibrated log odds of the positive class.
    slope_anyway
        Give the slope also where the AUROC's interval holds 0.5; by default it is withheld there.

    Returns
    -------
    dict
        ``observed_expected``: positives observed over positives expected, 1 where the probabilities are right on average,
        with Wilson's interval of the observed share. ``intercept``: calibration in the large, the shift of all log odds
        that fits best, 0 where they are right. ``slope``: what the log odds are best multiplied by, 1 where they are
        right, below 1 where they are too extreme. Intercept and slope by logistic regression, with intervals that hold also
        where the log odds are no straight line (:func:`_fit_logistic`). ``ece``: the expected calibration error
        (:func:`calibration_error_figure`). ``base_rate``: the share of positives. A figure that cannot be had says why.

    Notes
    -----
    Van Calster et al. 2019, "Calibration: the Achilles heel of predictive analytics"; the intercept with the log odds as
    offset, the slope with an intercept beside it.
    """
    truth, scores = np.asarray(positive, dtype=np.float64), np.asarray(odds, dtype=np.float64)
    n, observed, expected = len(truth), float(truth.sum()), float(expit(scores).sum())
    low, high = wilson_interval(observed, n)
    ratio = Figure(
        value=observed / expected,
        low=low * n / expected,
        high=high * n / expected,
        n=n,
        method="Wilson's of the observed share, over the expected",
    )
    figures = {
        "observed_expected": ratio,
        "ece": calibration_error_figure(truth == 1, expit(scores)),
        "base_rate": share_figure(truth, "there are no patients"),
    }
    if observed in (0.0, n):
        none = Figure(value=None, low=None, high=None, n=n, reason="all of them are of one class")
        return figures | {"intercept": none, "slope": none}
    reason = "" if slope_anyway or _is_shown(truth == 1, scores) else NOT_SHOWN
    yes, no = scores[truth == 1], scores[truth == 0]
    reason = SEPARATED if yes.min() >= no.max() or yes.max() <= no.min() else reason
    reason = "all probabilities are the same" if np.ptp(scores) == 0 else reason
    figures["intercept"] = _fit_logistic(truth, np.ones((n, 1)), scores)
    figures["slope"] = (
        Figure(value=None, low=None, high=None, n=n, reason=reason)
        if reason
        else _fit_logistic(truth, np.stack([scores, np.ones(n)], axis=1), np.zeros(n))
    )
    return figures


def calibration_error_figure(positive: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> Figure:
    """Return the expected calibration error with an interval that knows that it is too large by chance.

    The error is a sum of distances, so the noise of its bins can only move it by the sum of theirs, either way: the ends are
    the error less and plus the 95% quantile of that sum. So the interval is wider than it need be, never narrower.

    Parameters
    ----------
    positive, probabilities
        Arrays of shape (patients,): true for the positive class, and its probability.
    bins
        Of equal width.
    """
    truth, probability = np.asarray(positive, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    n = len(truth)
    value = float(calibration_error(truth, probability, np.ones((1, n)), bins)[0])
    member = np.minimum((probability * bins).astype(np.int64), bins - 1)
    counts, hits = np.bincount(member, minlength=bins), np.bincount(member, truth, minlength=bins)
    share = (hits + 2) / (counts + 4)
    spread = np.sqrt(counts * share * (1 - share)) / n
    noise = np.abs(np.random.default_rng(0).normal(size=(NOISE_DRAWS, bins)) * spread).sum(axis=1)
    reach = float(np.quantile(noise, 0.95))
    method = "the noise of its bins added up (triangle inequality); too wide rather than too narrow"
    return Figure(value=value, low=max(0.0, value - reach), high=min(1.0, value + reach), n=n, method=method)


def _is_shown(positive: NDArray[np.bool_], odds: Floats) -> bool:
    """Whether the AUROC's interval lies on one side of 0.5."""
    try:
        _, low, high = auroc_interval(positive, odds)
    except EvaluationError:
        return False
    return not low <= 0.5 <= high


def _fit_logistic(truth: Floats, columns: Floats, offset: Floats) -> Figure:
    """The first coefficient of a logistic regression with an offset, by Newton's method, with its interval.

    It is Wald's, and where the robust error (HC3, Student's t) reaches further, of that: of skewed scores the log odds are no
    straight line, and Wald's alone held 79 to 92 % of the time (``benchmarks/bench_selection.py``).

    Source: MacKinnon and White 1985, J. Econometrics 29:305 (HC3).
    """
    n = len(truth)
    coefficients = np.zeros(columns.shape[1])
    for _ in range(STEPS):
        probability = expit(columns @ coefficients + offset)
        information = (columns.T * (probability * (1 - probability))) @ columns
        try:
            step = np.linalg.solve(information, columns.T @ (truth - probability))
        except np.linalg.LinAlgError:
            break
        # Log odds that move by more than 2 at once would jump over the top where probabilities are near 0 or 1.
        moved = np.abs(columns @ step).max()
        coefficients = coefficients + step / max(1.0, moved / 2)
        if moved < 1e-9:
            inverse = np.linalg.inv(information)
            leverage = probability * (1 - probability) * ((columns @ inverse) * columns).sum(axis=1)
            moved = (columns @ inverse[0]) * (truth - probability) / np.maximum(1 - leverage, 1e-6)
            robust = stdtrit(max(1, n - len(inverse)), 0.975) * np.sqrt((moved**2).sum())
            half = float(max(ndtri(0.975) * np.sqrt(inverse[0, 0]), robust))
            value = float(coefficients[0])
            method = "logistic regression; Wald, or robust (HC3) where that is wider"
            return Figure(value=value, low=value - half, high=value + half, n=n, method=method)
    return Figure(value=None, low=None, high=None, n=n, reason="no value that fits best was found")
