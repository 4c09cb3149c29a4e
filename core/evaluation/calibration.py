"""Calibrate logits by temperature, and choose the operating point."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

PRIOR_SPREAD = 1.0
"""Standard deviation of the prior on log temperature: with few patients the temperature stays near 1."""


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

    found = minimize_scalar(cost, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
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
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(truth))
    order = order[np.argsort(truth[order], kind="stable")]
    fold = np.empty(len(truth), dtype=np.int64)
    fold[order] = np.arange(len(truth)) % folds
    temperatures = np.ones(folds)
    probabilities = np.empty(scores.shape)
    for index in range(folds):
        inside = fold == index
        temperatures[index] = fit_temperature(truth[~inside], scores[~inside])
        probabilities[inside] = to_probabilities(scores[inside], temperatures[index])
    return probabilities, temperatures


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
