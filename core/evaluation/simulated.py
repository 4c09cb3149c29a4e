"""Patients that exist only as numbers, with a model whose true AUROC is known: to see what chance alone does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from core.evaluation.intervals import auroc_interval
from core.evaluation.metrics import Floats, Integers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestOfEpochs:
    """What choosing the best epoch does where there is nothing to find; arrays of shape (draws,)."""

    chosen: Floats
    """AUROC of the best epoch on the patients that chose it."""
    untouched: Floats
    """AUROC of the same epoch on as many patients that chose nothing."""
    one_course: Floats
    """AUROC by epoch of the first draw, on the patients that choose: (epochs,)."""


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
        Where chance comes from.
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


def repeat_study(auroc: float, patients: int, times: int, generator: np.random.Generator) -> Floats:
    """Judge the same model on new patients again and again: (times, 3), value, low and high of each study's AUROC."""
    results = np.empty((times, 3))
    for index in range(times):
        labels, logits = simulate_patients(auroc, patients, generator)
        results[index] = auroc_interval(labels == 1, logits[:, 1])
    return results


def best_of_noise(
    patients: int, epochs: int, draws: int, generator: np.random.Generator, *, alike: float = 0.7
) -> BestOfEpochs:
    """Choose the best of several epochs of a model that knows nothing, over and over.

    Parameters
    ----------
    patients
        That choose; as many others judge the choice. Half of them are positive.
    epochs
        To choose among.
    draws
        Repetitions.
    generator
        Where chance comes from.
    alike
        Correlation of a patient's scores in neighbouring epochs; 0 is as good as so many unrelated models.
    """
    positive = np.arange(patients) < max(patients // 2, 1)
    areas = [_areas(_course((draws, epochs, patients), alike, generator), positive) for _ in range(2)]
    best = areas[0].argmax(axis=1)
    rows = np.arange(draws)
    return BestOfEpochs(chosen=areas[0][rows, best], untouched=areas[1][rows, best], one_course=areas[0][0])


def _course(shape: tuple[int, int, int], alike: float, generator: np.random.Generator) -> Floats:
    scores = generator.standard_normal(shape)
    for epoch in range(1, shape[1]):
        scores[:, epoch] = alike * scores[:, epoch - 1] + np.sqrt(1 - alike**2) * scores[:, epoch]
    return scores


def _areas(scores: Floats, positive: NDArray[np.bool_]) -> Floats:
    """AUROC along the last axis of scores without ties."""
    ranks = scores.argsort(axis=-1).argsort(axis=-1) + 1
    m = int(positive.sum())
    n = len(positive) - m
    return (ranks[..., positive].sum(axis=-1) - m * (m + 1) / 2) / (m * n)
