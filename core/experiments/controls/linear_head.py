"""A logistic regression judged by patient: what a few features of each patient say of the label.

Nested: components, scaling and penalty are chosen within the training patients of each fold. The AUROC is the mean
of the folds' own; outputs of different folds are never compared with each other. The permutation test deals the
labels out to the patients anew and repeats all of it, folds and choice of the penalty included.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.influence import cluster_influence
from core.evaluation.intervals import auroc_influence, hanley_mcneil_variance
from core.evaluation.metrics import Floats, Integers, auroc
from core.progress import Progress, silent

PENALTIES = (0.01, 0.1, 1.0)
"""Inverse strengths C that are chosen among."""
COMPONENTS = 10
FOLDS, INNER_FOLDS = 5, 3
FEWEST_PER_CLASS = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadResult:
    """How well a linear head does on patients that it was not fitted to, and what chance does."""

    auroc: Figure
    null: NDArray[np.float64]
    """(permutations,): the same with labels shuffled by patient."""
    p_value: float
    """(1 + permutations at least as good) / (1 + permutations)."""


def evaluate_head(
    features: Floats,
    labels: Integers,
    *,
    permutations: int = 199,
    components: int = COMPONENTS,
    seed: int = 0,
    nested: bool = True,
    progress: Progress = silent,
) -> HeadResult:
    """Judge a linear head by nested cross-validation over patients, and test it by permutation.

    Parameters
    ----------
    features
        Array of shape (patients, features); one row per patient.
    labels
        Array of shape (patients,), true or 1 for the positive class.
    permutations
        How often the labels are shuffled.
    components
        Principal components that the features are reduced to where they are more; found in each training part.
    seed
        Of folds and shuffles.
    nested
        Choose the penalty within each training part; otherwise it is 0.1 (ten times as fast).
    progress
        Called per permutation; may raise to stop.

    Raises
    ------
    EvaluationError
        Fewer than six patients of a class.
    """
    truth = np.asarray(labels) == 1
    fewest = min(int(truth.sum()), int((~truth).sum()))
    if fewest < FEWEST_PER_CLASS:
        raise EvaluationError(
            f"A linear head is judged with at least {FEWEST_PER_CLASS} patients of each class; here the smaller has "
            f"{fewest}. Add patients."
        )
    folds = min(FOLDS, fewest // 2)
    with _without_warnings():
        scores, fold = _out_of_fold(features, truth, folds, components, nested, np.random.default_rng([seed, 0]))
        observed = _fold_mean(truth, scores, fold)
        null = np.empty(permutations)
        for draw in range(permutations):
            generator = np.random.default_rng([seed, 1 + draw])
            dealt = generator.permutation(truth)
            null[draw] = _fold_mean(dealt, *_out_of_fold(features, dealt, folds, components, nested, generator))
            progress(draw + 1, permutations, "permutations")
    low, high = _interval(truth, scores, fold, observed)
    figure = Figure(
        value=observed,
        low=low,
        high=high,
        n=len(truth),
        method=f"mean of {folds} folds by patient; DeLong within folds, logit scale",
    )
    return HeadResult(auroc=figure, null=null, p_value=permutation_p(observed, null))


def permutation_p(observed: float, null: Floats) -> float:
    """Return (1 + b) / (1 + N): b of the N shuffles came out at least as well (Phipson and Smyth 2010)."""
    # Figures that are equal but for rounding count as equal.
    return float((1 + np.sum(np.asarray(null) >= observed - 1e-12)) / (1 + len(null)))


def mean_by_patient(features: NDArray[np.floating], member: NDArray[np.intp]) -> Floats:
    """Average the rows of each patient: (rows, features) and numbers 0.. of shape (rows,) -> (patients, features)."""
    counts = np.bincount(member)
    sums = np.zeros((len(counts), features.shape[1]))
    np.add.at(sums, member, features)
    return sums / counts[:, None]


def _out_of_fold(
    features: Floats,
    truth: NDArray[np.bool_],
    folds: int,
    components: int,
    nested: bool,
    generator: np.random.Generator,
) -> tuple[Floats, NDArray[np.intp]]:
    """Log odds of each patient from a head fitted without its fold, and its fold: (patients,) each."""
    fold = _deal(truth, folds, generator)
    scores = np.empty(len(truth))
    for part in range(folds):
        train, judged = fold != part, fold == part
        ours, theirs = _reduce(features[train], features[judged], components)
        penalty = _choose_penalty(ours, truth[train], generator) if nested else 0.1
        scores[judged] = _fit(ours, truth[train], penalty).decision_function(theirs)  # type: ignore[attr-defined]
    return scores, fold


def _deal(truth: NDArray[np.bool_], folds: int, generator: np.random.Generator) -> NDArray[np.intp]:
    fold = np.empty(len(truth), np.intp)
    for label in (False, True):
        members = np.flatnonzero(truth == label)
        fold[members] = generator.permutation(len(members)) % folds
    return fold


def _reduce(train: Floats, judged: Floats, components: int) -> tuple[Floats, Floats]:
    """Scale by the training patients, and turn many features into a few principal components of theirs."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    varies = spread > 1e-9
    ours, theirs = ((part[:, varies] - mean[varies]) / spread[varies] for part in (train, judged))
    if ours.shape[1] <= components:
        return (ours, theirs) if ours.shape[1] else (np.zeros((len(train), 1)), np.zeros((len(judged), 1)))
    _, values, axes = np.linalg.svd(ours, full_matrices=False)
    kept = min(components, int((values > 1e-9 * values[0]).sum()))
    scale = values[:kept] / np.sqrt(len(train))
    return ours @ axes[:kept].T / scale, theirs @ axes[:kept].T / scale


def _choose_penalty(features: Floats, truth: NDArray[np.bool_], generator: np.random.Generator) -> float:
    """The penalty with the best mean AUROC over inner folds; the strongest of equals."""
    fold = _deal(truth, INNER_FOLDS, generator)
    merits = []
    for penalty in PENALTIES:
        scores = np.empty(len(truth))
        for part in range(INNER_FOLDS):
            head = _fit(features[fold != part], truth[fold != part], penalty)
            scores[fold == part] = head.decision_function(features[fold == part])  # type: ignore[attr-defined]
        merits.append(_fold_mean(truth, scores, fold))
    return PENALTIES[int(np.argmax(merits))]


def _fit(features: Floats, truth: NDArray[np.bool_], penalty: float) -> object:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=penalty, solver="newton-cholesky", max_iter=50).fit(features, truth)


def _fold_mean(truth: NDArray[np.bool_], scores: Floats, fold: NDArray[np.intp]) -> float:
    """Mean over the folds of each one's AUROC."""
    areas = [
        auroc(truth[fold == part], scores[fold == part], np.ones((1, int((fold == part).sum()))))[0]
        for part in np.unique(fold)
    ]
    return float(np.mean(areas))


def _interval(truth: NDArray[np.bool_], scores: Floats, fold: NDArray[np.intp], value: float) -> tuple[float, float]:
    """DeLong's variance within each fold, averaged; on the logit scale with the correction of ``auroc_interval``."""
    parts = np.unique(fold)
    influence = np.empty(len(truth))
    for part in parts:
        inside = fold == part
        influence[inside] = auroc_influence(truth[inside], scores[inside]) / len(parts)
    moved, _ = cluster_influence(influence, 2 * fold + truth)
    variance = float((moved**2).sum())
    yes, no = int(truth.sum()), int((~truth).sum())
    nearest = (1 / yes + 1 / no) / 8
    centre = min(max(value, nearest), 1 - nearest)
    if centre != value:
        variance = max(variance, hanley_mcneil_variance(centre, yes, no))
    half = ndtri(0.975) * np.sqrt(variance) / (centre * (1 - centre))
    return min(float(expit(logit(centre) - half)), value), max(float(expit(logit(centre) + half)), value)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """A head that has not fully converged is judged like any other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
