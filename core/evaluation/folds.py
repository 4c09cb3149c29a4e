"""Figures of a cross-validation: within each fold, over folds, over repeats; logits of two folds are never compared.

Each fold has a network of its own, whose logits have a scale and an origin of their own: a ranking of patients across
folds mixes the networks' offsets into it. So the AUROC is taken within each fold and then averaged. A decision, by the
fold's own threshold, and a loss, by its own temperature, are facts about one patient, and those are taken together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from core.errors import EvaluationError
from core.evaluation import metrics
from core.evaluation.aggregate import log_odds
from core.evaluation.calibration import to_probabilities
from core.evaluation.figure import Figure
from core.evaluation.figures import compute_figures, predict_classes
from core.evaluation.influence import mean_interval, mean_share_interval, share_interval
from core.evaluation.intervals import auroc_influence, hanley_mcneil_variance
from core.evaluation.metrics import Floats, Integers

FOLD_FIGURES = ("auroc", "accuracy", "balanced_accuracy", "brier")
LEFT_OUT = (
    "The interval says how far other patients of the same kind would move the mean. For the training patients that folds "
    "share, its variance is made larger by a rule of thumb (Nadeau and Bengio), for no unbiased estimate exists; where the "
    "networks know much it is wider than it need be. What other seeds and partitions would change shows in the spread "
    "over seeds alone."
)


WIDENED = "; widened for the training patients that folds share (Nadeau and Bengio 2003)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldPredictions:
    """One network's outputs for the patients of its fold."""

    seed: int
    """Number of the repeat: 0 is the first."""
    fold: int
    """1 is the first."""
    patients: NDArray[np.str_]
    """(patients,)."""
    labels: Integers
    """(patients,)."""
    logits: Floats
    """(patients, classes), before the temperature."""
    threshold: float
    temperature: float


def evaluate_fold(answers: FoldPredictions, class_names: Sequence[str], positive_class: int) -> dict[str, Figure]:
    """Every figure of :data:`FOLD_FIGURES` for one fold by itself, with its interval and n."""
    figures = compute_figures(
        answers.labels,
        answers.logits,
        class_names=class_names,
        positive_class=positive_class,
        threshold=answers.threshold,
        temperature=answers.temperature,
    )
    return {name: figures[name] for name in FOLD_FIGURES}


def evaluate_folds(
    folds: Sequence[FoldPredictions], class_names: Sequence[str], positive_class: int
) -> dict[str, Figure]:
    """Summarise folds of one repeat or of several: each figure of :data:`FOLD_FIGURES`, over patients.

    ``auroc`` is the mean of the folds' own; the others are over all patients, each with the threshold and
    temperature of its own fold. A patient in several repeats counts once. ``n`` is the number of patients.
    All intervals are widened by :func:`sharing_factor`.
    """
    patients = np.concatenate([fold.patients for fold in folds])
    labels = np.concatenate([fold.labels for fold in folds])
    right = np.concatenate([_decisions(fold, positive_class) == fold.labels for fold in folds])
    n = len(np.unique(patients))
    clusters = patients if len(patients) > n else None
    widen = float(np.sqrt(sharing_factor(_folds_per_repeat(len(folds), len(patients), n))))
    shares = f"{'Agresti-Coull' if clusters is not None else 'Wilson'} over patients{WIDENED}"
    figures = {
        "auroc": _mean_auroc(folds, positive_class, len(class_names), n),
        "accuracy": _widened(partial(share_interval, right, labels, clusters), float(right.mean()), n, shares, widen),
        "balanced_accuracy": _widened(
            partial(mean_share_interval, right, labels, clusters),
            float(np.mean([right[labels == label].mean() for label in np.unique(labels)])),
            n,
            f"Agresti-Coull for each class, joined (MOVER){WIDENED}",
            widen,
        ),
    }
    if len(class_names) != 2:
        absent = Figure(value=None, low=None, high=None, n=n, reason="for two classes only")
        return {**figures, "brier": absent}
    losses = np.concatenate(
        [
            (to_probabilities(fold.logits, fold.temperature)[:, positive_class] - (fold.labels == positive_class)) ** 2
            for fold in folds
        ]
    )
    interval = partial(mean_interval, losses, labels, clusters)
    method = f"Student's t over patients, corrected for skewness (Hall){WIDENED}"
    return {**figures, "brier": _widened(interval, float(losses.mean()), n, method, widen)}


def sharing_factor(folds: int) -> float:
    """Return by how much the variance of a mean over k folds is enlarged for the training patients that they share.

    ``1 + k / (k - 1)``: the variance of a mean of k values, ``v / k``, becomes ``v (1 / k + 1 / (k - 1))``, the share of
    evaluated to training patients added. Without signal two folds' networks each rank the other's training patients, and the
    same chance likeness of two patients counts in both folds: the true variance is then up to twice DeLong's
    (``benchmarks/bench_folds.py``).

    Source: Nadeau and Bengio 2003, "Inference for the generalization error", Machine Learning 52:239.
    """
    return 1 + folds / (folds - 1)


def mean_auroc_interval(
    folds: Sequence[tuple[NDArray[np.bool_], Floats, NDArray[np.str_]]], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the mean of the folds' AUROCs with its interval over patients, on the logit scale.

    A patient's influence on the mean is the sum of its influences on the folds in which it was evaluated (one in each
    repeat), divided by the number of folds; the variance is the sum of the squares of these, times
    :func:`sharing_factor`. Within one repeat the sum is the mean of DeLong's variances divided by the number of folds.

    Parameters
    ----------
    folds
        For each fold of each repeat: whether each patient is positive, its score, and who it is; arrays of shape
        (patients,).
    confidence
        Level of the interval.

    Returns
    -------
    tuple
        Value, low and high; the interval always holds the value.

    Raises
    ------
    EvaluationError
        A fold holds fewer than two patients of a class.

    Notes
    -----
    LeDell, Petersen and van der Laan 2015, "Computationally efficient confidence intervals for cross-validated area under
    the ROC curve estimates", Electron. J. Statist. 9:1583 (influence curves); DeLong, DeLong and Clarke-Pearson 1988.
    Their interval alone, without the factor, held 81 to 88 % of the time where there was nothing to learn. That nothing
    better than a rule of thumb can be had: Bengio and Grandvalet 2004, "No unbiased estimator of the variance of k-fold
    cross-validation". Near 0 and 1 as in :func:`core.evaluation.intervals.auroc_interval`. Student's t, with the patients
    less two for each fold as degrees of freedom, stands for variances that are themselves estimated from few patients.
    """
    moved: dict[str, float] = {}
    sides: dict[str, bool] = {}
    values, counts = [], []
    for positive, scores, patients in folds:
        yes, no = int(positive.sum()), int((~positive).sum())
        if min(yes, no) < 2:
            raise EvaluationError(
                f"A fold holds {yes} positive and {no} negative patients; an interval needs two of each in every fold: "
                "choose fewer folds, or add patients."
            )
        correction = np.where(positive, yes / (yes - 1), no / (no - 1))
        influence = auroc_influence(positive, scores) * np.sqrt(correction) / len(folds)
        for patient, change, side in zip(patients, influence, positive, strict=True):
            moved[patient] = moved.get(patient, 0.0) + float(change)
            sides[patient] = bool(side)
        values.append(_auroc(positive, scores))
        counts.append((yes, no))
    value, variance = float(np.mean(values)), float(np.sum(np.square(list(moved.values()))))
    per_repeat = _folds_per_repeat(len(folds), int(np.sum(counts)), len(sides))
    yes = sum(sides.values())
    nearest = (1 / yes + 1 / (len(sides) - yes)) / 8
    centre = min(max(value, nearest), 1 - nearest)
    variance *= sharing_factor(per_repeat)
    if centre != value:
        # Networks that separate everybody know nearly everything: there the shared patients no longer matter.
        least = float(np.mean([hanley_mcneil_variance(centre, *pair) for pair in counts])) / per_repeat
        variance = max(variance, least)
    freedom = max(1, len(sides) - 2 * per_repeat)
    half = float(stdtrit(freedom, 0.5 + confidence / 2)) * np.sqrt(variance) / (centre * (1 - centre))
    low, high = float(expit(logit(centre) - half)), float(expit(logit(centre) + half))
    return value, min(low, value), max(high, value)


def _folds_per_repeat(folds: int, rows: int, patients: int) -> int:
    """Number of folds in one repeat, which evaluates every patient once."""
    return max(2, round(folds * patients / rows))


def _mean_auroc(folds: Sequence[FoldPredictions], positive_class: int, classes: int, n: int) -> Figure:
    if classes != 2:
        found = [
            evaluate_fold(fold, [str(index) for index in range(classes)], positive_class)["auroc"] for fold in folds
        ]
        known = [figure.value for figure in found if figure.value is not None]
        value = float(np.mean(known)) if known else None
        return Figure(value=value, low=None, high=None, n=n, reason="an interval of the mean is for two classes only")
    parts = [
        (fold.labels == positive_class, log_odds(fold.logits, positive_class), fold.patients.astype(np.str_))
        for fold in folds
    ]
    value = float(np.mean([_auroc(positive, scores) for positive, scores, _ in parts]))
    method = f"mean of the folds' AUROCs; influence of each patient (LeDell 2015), on the logit scale{WIDENED}"
    return _widened(partial(mean_auroc_interval, parts), value, n, method)


def _auroc(positive: NDArray[np.bool_], scores: Floats) -> float:
    return float(metrics.auroc(positive, scores, np.ones((1, len(scores))))[0])


def _decisions(fold: FoldPredictions, positive_class: int) -> Integers:
    return predict_classes(
        fold.logits, positive_class=positive_class, threshold=fold.threshold, temperature=fold.temperature
    )


def _widened(
    interval: Callable[[], tuple[float, float, float]], value: float, n: int, method: str, widen: float = 1.0
) -> Figure:
    """A figure whose interval reaches `widen` times as far to either side, within 0 and 1."""
    try:
        _, low, high = interval()
    except EvaluationError as error:
        return Figure(value=value, low=None, high=None, n=n, reason=str(error))
    low, high = value - widen * (value - low), value + widen * (high - value)
    return Figure(value=value, low=max(0.0, low), high=min(1.0, high), n=n, method=method)
