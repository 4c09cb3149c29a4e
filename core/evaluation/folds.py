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
from scipy.special import expit, logit, ndtri, stdtrit

from core.errors import EvaluationError
from core.evaluation import metrics
from core.evaluation.aggregate import log_odds
from core.evaluation.calibration import to_probabilities
from core.evaluation.figure import Figure
from core.evaluation.figures import compute_figures, predict_classes
from core.evaluation.influence import mean_interval, mean_share_interval, share_interval
from core.evaluation.intervals import auroc_with_influence, hanley_mcneil_variance
from core.evaluation.metrics import Floats, Integers

FOLD_FIGURES = ("auroc", "accuracy", "balanced_accuracy", "brier")
LEFT_OUT = (
    "The figure is of these networks, averaged: how well they do on further patients of the same kind and the same sites; "
    "not of the procedure trained anew on others. No unbiased estimate of its variance exists (Bengio and Grandvalet 2004): "
    "for the training patients that folds share it is made larger by a rule (Nadeau and Bengio 2003), weighted by how much "
    "chance took part in the networks. Two seeds or more show how much; with one, all is taken for chance and the interval "
    "is wider than it need be where the networks know much. What other seeds and partitions would change shows in the "
    "spread over seeds."
)
WIDENED = "; widened for the training patients that folds share (Nadeau and Bengio 2003)"
FoldScores = tuple[NDArray[np.bool_], Floats, NDArray[np.generic]]
"""Of one fold: whether each patient is positive, its score, and who it is; arrays of shape (patients,)."""


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


def group_folds(
    patients: NDArray[np.str_], labels: Integers, odds: Floats, member: NDArray[np.generic]
) -> list[FoldPredictions]:
    """Return the log odds of two classes fold by fold, uncalibrated and at a threshold of 0.5.

    Parameters
    ----------
    patients, labels, odds, member
        Arrays of shape (patients,): names, classes (0, 1), log odds of class 1, and the fold of each.
    """
    logits = np.column_stack([np.zeros(len(odds)), odds])
    return [
        FoldPredictions(
            seed=0, fold=number, patients=patients[member == fold], labels=labels[member == fold],
            logits=logits[member == fold], threshold=0.5, temperature=1.0,
        )
        for number, fold in enumerate(np.unique(member), start=1)
    ]  # fmt: skip


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
    classes = len(class_names)
    shared = None if classes != 2 else _share(folds, positive_class)

    def widen(values: Floats, weights: Floats) -> float:
        """How much further an interval reaches for a mean of `values` with the classes' weights."""
        if shared is None:
            return float(np.sqrt(sharing_factor(max(2, round(len(folds) * n / len(patients))))))
        centred = values - (np.bincount(labels, values) / np.maximum(np.bincount(labels), 1))[labels]
        return float(np.sqrt(shared.factor(centred * weights[labels])))

    shares = f"{'Agresti-Coull' if clusters is not None else 'Wilson'} over patients{WIDENED}"
    alike, by_class = np.ones(classes), 1 / np.maximum(np.bincount(labels, minlength=classes), 1)
    hits = right.astype(np.float64)
    figures = {
        "auroc": _mean_auroc(folds, positive_class, classes, n, shared),
        "accuracy": _widened(
            partial(share_interval, right, labels, clusters), float(right.mean()), n, shares, widen(hits, alike)
        ),
        "balanced_accuracy": _widened(
            partial(mean_share_interval, right, labels, clusters),
            float(np.mean([right[labels == label].mean() for label in np.unique(labels)])),
            n,
            f"Agresti-Coull for each class, joined (MOVER){WIDENED}",
            widen(hits, by_class),
        ),
    }
    if classes != 2:
        absent = Figure(value=None, low=None, high=None, n=n, reason="for two classes only")
        return {**figures, "brier": absent}
    losses = np.concatenate(
        [
            (to_probabilities(fold.logits, fold.temperature)[:, positive_class] - (fold.labels == positive_class)) ** 2
            for fold in folds
        ]
    )
    interval = partial(mean_interval, losses, labels, clusters, most=1.0)
    method = f"Student's t over patients, corrected for skewness (Hall){WIDENED}"
    return {**figures, "brier": _widened(interval, float(losses.mean()), n, method, widen(losses, alike))}


def sharing_factor(folds: int, tied: float = 1.0) -> float:
    """Return by how much the variance of a mean over k folds may be enlarged for the training patients that they share.

    ``1 + tied * max(k / (k - 1), 5 / 4)``; `tied` is the part of the variance that hangs on such patients
    (:class:`SharedTraining`). Without signal two folds' networks each rank the other's training patients, and the same
    chance likeness of two patients counts in both folds: the true variance is then twice DeLong's, and a little more where
    features are few. Networks that know much owe little to single patients (``benchmarks/bench_folds.py``).

    Source: Nadeau and Bengio 2003, "Inference for the generalization error", Machine Learning 52:239.
    """
    return 1 + tied * max(folds / (folds - 1), 5 / 4)


class SharedTraining:
    """How far folds depend on each other through the patients that their networks were trained on.

    To first order a patient's influence on a figure depends on another patient's part in training by way of the score. So
    the share rho^2 of its variance can hang on other patients: rho is the correlation over patients of the influence with
    the normal score within fold and class. Of that, the share nu does: the part of the networks that chance made.
    """

    def __init__(self, folds: Sequence[FoldScores]) -> None:
        sizes = [len(scores) for _, scores, _ in folds]
        names, self.patient = np.unique(np.concatenate([who for _, _, who in folds]), return_inverse=True)
        self.patients = len(names)
        self.folds = max(2, round(len(folds) * self.patients / sum(sizes)))
        positive = np.concatenate([truth for truth, _, _ in folds])
        self._group = 2 * np.repeat(np.arange(len(folds)), sizes) + positive
        self._scores = np.concatenate([_standardise(truth, scores) for truth, scores, _ in folds])
        ranked = np.concatenate([_rank_within(truth, scores) for truth, scores, _ in folds])
        weight = np.where(positive, 1.0, -1.0) / np.bincount(self._group)[self._group]
        self._direction = np.bincount(self.patient, ranked * weight)
        self.noise_share: float | None = None
        """nu where it may be trusted; None is as if chance had made all."""

    def factor(self, influence: Floats) -> float:
        """Return the factor of a figure's variance, from the influence of each row on it: (rows,)."""
        moved = np.bincount(self.patient, influence)
        size = float((moved**2).sum() * (self._direction**2).sum())
        aligned = float(moved @ self._direction) ** 2 / size if size > 0 else 0.0
        return sharing_factor(self.folds, aligned) if self.noise_share is None else 1 + aligned * self.noise_share

    def measure_noise_share(self) -> float:
        """Return nu from how well the repeats agree on the same patients; 1 where there is one repeat.

        Two networks that share ``1 - 1/k`` of their training patients agree as ``1 - nu / k`` on a patient whom neither saw.
        What else makes them differ (initial weights) is counted as chance, too.
        """
        order = np.argsort(self.patient, kind="stable")
        repeats = len(order) // self.patients
        if repeats < 2 or len(order) != repeats * self.patients:
            return 1.0
        scores = self._scores[order].reshape(self.patients, repeats).T
        group = self._group[order].reshape(self.patients, repeats).T
        agreements = []
        for one in range(repeats):
            for other in range(one):
                # Each is centred among the patients of its own fold, which takes a known part of the agreement away.
                together = np.unique(group[one] * (group.max() + 1) + group[other], return_inverse=True)[1]
                shared = np.bincount(together)[together]
                ours, theirs = (np.bincount(column)[column] for column in (group[one], group[other]))
                kept = (1 - 1 / ours - 1 / theirs + shared / (ours * theirs)).mean()
                kept /= np.sqrt((1 - 1 / ours).mean() * (1 - 1 / theirs).mean())
                lengths = np.linalg.norm(scores[one]) * np.linalg.norm(scores[other])
                agreements.append(scores[one] @ scores[other] / (lengths * kept) if lengths > 0 else 0.0)
        return float(np.clip(self.folds * (1 - np.mean(agreements)), 0, 1))


def mean_auroc_interval(
    folds: Sequence[FoldScores], confidence: float = 0.95, shared: SharedTraining | None = None
) -> tuple[float, float, float]:
    """Return the mean of the folds' AUROCs with its interval over patients, on the logit scale.

    What is estimated is the mean of what these very networks are worth on further patients of the same kind. A patient's
    influence on the mean is the sum of its influences on the folds in which it was evaluated (one in each repeat), divided
    by the number of folds; the variance is the sum of the squares of these, times :meth:`SharedTraining.factor`. All of the
    networks is taken for chance (nu = 1) unless even then the interval lies above 0.5 and repeats show less: where nothing
    is learnt, networks agree by luck just when the figure is high by luck.

    Parameters
    ----------
    folds
        The folds of each repeat.
    confidence
        Level of the interval.
    shared
        Made of the same folds; its ``noise_share`` becomes the one that was used.

    Returns
    -------
    tuple
        Value, low and high; the interval always holds the value.

    Raises
    ------
    EvaluationError
        A fold holds fewer than two patients of a class, or nobody is ranked.

    Notes
    -----
    LeDell, Petersen and van der Laan 2015, "Computationally efficient confidence intervals for cross-validated area under
    the ROC curve estimates", Electron. J. Statist. 9:1583 (influence curves); DeLong, DeLong and Clarke-Pearson 1988.
    Their interval alone, without the factor, held 81 to 88 % of the time where there was nothing to learn. That nothing
    better than a rule of thumb can be had: Bengio and Grandvalet 2004, "No unbiased estimator of the variance of k-fold
    cross-validation". Near 0 and 1 as in :func:`core.evaluation.intervals.auroc_interval`. Student's t, with the patients
    less two for each fold as degrees of freedom, stands for variances that are themselves estimated from few patients.
    """
    influences, values, counts = [], [], []
    for positive, scores, _ in folds:
        yes, no = int(positive.sum()), int((~positive).sum())
        if min(yes, no) < 2:
            raise EvaluationError(
                f"A fold holds {yes} positive and {no} negative patients; an interval needs two of each in every fold: "
                "choose fewer folds, or add patients."
            )
        correction = np.where(positive, yes / (yes - 1), no / (no - 1))
        of_fold, influence = auroc_with_influence(positive, scores)
        influences.append(influence * np.sqrt(correction) / len(folds))
        values.append(of_fold)
        counts.append((yes, no))
    if all(np.ptp(scores) == 0 for _, scores, _ in folds):
        raise EvaluationError("withheld: all scores of each fold are equal, so that nobody is ranked")
    shared = SharedTraining(folds) if shared is None else shared
    moved, value = np.concatenate(influences), float(np.mean(values))
    alone = float((np.bincount(shared.patient, moved) ** 2).sum())
    if value < 0.5:
        # Networks that rank against the truth do so by bad luck, which repeats share: half of what they average is kept.
        alone = (alone + float((moved**2).sum()) * len(folds) / shared.folds) / 2
    nearest = float(np.mean([1 / yes + 1 / no for yes, no in counts])) / shared.folds / 8
    centre = min(max(value, nearest), 1 - nearest)
    # Networks that separate everybody know nearly everything: there the shared patients no longer matter.
    least = float(np.mean([hanley_mcneil_variance(centre, *pair) for pair in counts])) / shared.folds
    freedom = max(1, shared.patients - 2 * shared.folds)
    quantile = float(stdtrit(freedom, 0.5 + confidence / 2)) / (centre * (1 - centre))

    def half() -> float:
        variance = alone * shared.factor(moved)
        return quantile * float(np.sqrt(max(variance, least) if centre != value else variance))

    shared.noise_share = None
    if logit(centre) - half() > 0 and len(folds) > shared.folds:
        shared.noise_share = shared.measure_noise_share()
    low, high = float(expit(logit(centre) - half())), float(expit(logit(centre) + half()))
    return value, min(low, value), max(high, value)


def _rank_within(positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """The normal score of each patient among those of its class (Blom); ties share a rank."""
    ranked = np.empty(len(scores))
    for side in (positive, ~positive):
        ordered = np.sort(scores[side])
        rank = sum(np.searchsorted(ordered, scores[side], way) for way in ("left", "right")) / 2 + 0.5
        ranked[side] = ndtri((rank - 0.375) / (len(ordered) + 0.25))
    return ranked


def _standardise(positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """Scores of one fold less the mean of their class, in standard deviations within the classes."""
    centred = scores - np.where(
        positive, *(scores[side].mean() if side.any() else 0.0 for side in (positive, ~positive))
    )
    spread = float(np.sqrt((centred**2).mean()))
    return centred / spread if spread > 0 else centred


def _share(folds: Sequence[FoldPredictions], positive_class: int) -> SharedTraining:
    return SharedTraining(_fold_scores(folds, positive_class))


def _fold_scores(folds: Sequence[FoldPredictions], positive_class: int) -> list[FoldScores]:
    return [
        (fold.labels == positive_class, log_odds(fold.logits, positive_class), fold.patients.astype(np.str_))
        for fold in folds
    ]


def _mean_auroc(
    folds: Sequence[FoldPredictions], positive_class: int, classes: int, n: int, shared: SharedTraining | None
) -> Figure:
    if shared is None:
        found = [
            evaluate_fold(fold, [str(index) for index in range(classes)], positive_class)["auroc"] for fold in folds
        ]
        known = [figure.value for figure in found if figure.value is not None]
        value = float(np.mean(known)) if known else None
        return Figure(value=value, low=None, high=None, n=n, reason="an interval of the mean is for two classes only")
    parts = _fold_scores(folds, positive_class)
    value = float(np.mean([_auroc(positive, scores) for positive, scores, _ in parts]))
    method = f"mean of the folds' AUROCs; influence of each patient (LeDell 2015), on the logit scale{WIDENED}"
    constant = sum(bool(np.ptp(scores) == 0) for _, scores, _ in parts)
    if constant:
        method += f"; all scores are equal in {constant} of {len(parts)} folds, which count as 0.5"
    return _widened(partial(mean_auroc_interval, parts, shared=shared), value, n, method)


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
