"""Simulated patients and a model whose true AUROC is known: what chance alone does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from core.evaluation.intervals import auroc_interval
from core.evaluation.metrics import Floats, Integers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestOfEpochs:
    """AUROC of the best of several epochs without any signal; arrays of shape (draws,)."""

    chosen: Floats
    """AUROC of the best epoch on the patients that selected it."""
    untouched: Floats
    """AUROC of the same epoch on as many untouched patients."""
    learning_curve: Floats
    """AUROC by epoch of the first draw, on the patients that select: (epochs,)."""


def simulate_patients(
    auroc: float, patients: int, generator: np.random.Generator, *, prevalence: float = 0.525, sharpness: float = 1.0
) -> tuple[Integers, Floats]:
    """Draw labels and logits of a binormal model.

    Parameters
    ----------
    auroc
        The model's true AUROC.
    patients
        How many, of both classes.
    generator
        Random generator.
    prevalence
        Share of the positive class.
    sharpness
        1 is calibrated; 3 makes every log odds three times as large as is true: overconfident.

    Returns
    -------
    tuple
        Labels of shape (patients,), and logits of shape (patients, 2).
    """
    count = min(max(round(prevalence * patients), 1), patients - 1)
    labels = (np.arange(patients) < count).astype(np.int64)
    distance = np.sqrt(2) * ndtri(auroc)
    scores = generator.normal(size=patients) + distance * (labels - 0.5)
    odds = sharpness * (distance * scores + np.log(prevalence / (1 - prevalence)))
    return labels, np.column_stack([-odds / 2, odds / 2])


def repeat_evaluation(auroc: float, patients: int, times: int, generator: np.random.Generator) -> Floats:
    """Evaluate the same model on new patients `times` times: (times, 3), value, low and high of each AUROC."""
    results = np.empty((times, 3))
    for index in range(times):
        labels, logits = simulate_patients(auroc, patients, generator)
        results[index] = auroc_interval(labels == 1, logits[:, 1])
    return results


def best_of_noise(
    patients: int, epochs: int, draws: int, generator: np.random.Generator, *, correlation: float = 0.7
) -> BestOfEpochs:
    """Return the AUROC of the best of several epochs of a model without signal, over many draws.

    Parameters
    ----------
    patients
        In the validation set, and as many in the untouched set. Half of them are positive.
    epochs
        To choose among.
    draws
        Repetitions.
    generator
        Random generator.
    correlation
        Between a patient's scores in neighbouring epochs; 0 is as good as so many unrelated models.
    """
    positive = np.arange(patients) < max(patients // 2, 1)
    areas = [_areas(_draw_curves((draws, epochs, patients), correlation, generator), positive) for _ in range(2)]
    best = areas[0].argmax(axis=1)
    rows = np.arange(draws)
    return BestOfEpochs(chosen=areas[0][rows, best], untouched=areas[1][rows, best], learning_curve=areas[0][0])


def _draw_curves(shape: tuple[int, int, int], correlation: float, generator: np.random.Generator) -> Floats:
    scores = generator.standard_normal(shape)
    for epoch in range(1, shape[1]):
        scores[:, epoch] = correlation * scores[:, epoch - 1] + np.sqrt(1 - correlation**2) * scores[:, epoch]
    return scores


def _areas(scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """AUROC along the last axis of scores without ties."""
    ranks = scores.argsort(axis=-1).argsort(axis=-1) + 1
    m = int(positive.sum())
    n = len(positive) - m
    return (ranks[..., positive].sum(axis=-1) - m * (m + 1) / 2) / (m * n)
