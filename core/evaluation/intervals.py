"""Confidence intervals of shares and AUROCs that hold for few patients and for figures near 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, expit, logit, ndtr, ndtri, stdtrit

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.metrics import Floats

ROWS_AT_ONCE = 4_000_000
"""Weights (draws x rows) that one step of the bootstrap holds in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitAuroc:
    """An AUROC on the logit scale, continuity-corrected as in :func:`auroc_interval`."""

    value: float
    """The AUROC itself."""
    logit: float
    """Of the corrected AUROC: finite also where all positives score higher than all negatives."""
    variance: float
    """Of the logit."""
    fewest: int
    """Clusters of the smaller class."""


def look_confidence(look: int, error: float = 0.05) -> float:
    """Return the confidence with which the interval of the k-th look at the same patients is made, so that all looks hold.

    Alpha spending: look k may err with ``error / (k (k + 1))``, which sums to `error` over any number of looks. Within it
    stands what may be made of earlier answers: a model that was put together from the k - 1 models before it by their
    figures lies in the space of k directions, and the largest standard score in it is at most the root of a chi-square
    variable with k degrees of freedom, however the choice was made (Scheffe). Bonferroni over the looks alone has
    no proof against such a choice (``benchmarks/bench_looks.py`` simulates both). Thresholdout would answer with noise and needs a budget of
    patients that no cohort of this field has.

    It holds for who chooses by the figures; who reads the answers for single test patients can do worse.

    Parameters
    ----------
    look
        1 is the first.
    error
        Chance that any of the intervals misses.

    Notes
    -----
    Lan and DeMets 1983 (spending); Scheffe 1953; Dwork et al. 2015, "The reusable holdout"; Blum and Hardt 2015.
    """
    largest = np.sqrt(chdtri(look, error / (look * (look + 1))))
    return float(1 - 2 * ndtr(-largest))


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion; never outside 0..1, never of width 0.

    Source: Wilson 1927; recommended for small n by Brown, Cai and DasGupta 2001.
    """
    if n <= 0:
        raise EvaluationError("A proportion of no observations has no interval; give at least one.")
    z = ndtri(0.5 + confidence / 2)
    share = successes / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def agresti_coull_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a proportion around Wilson's middle; it holds Wilson's, and is safer near 0 and 1.

    Source: Agresti and Coull 1998.
    """
    if n <= 0:
        raise EvaluationError("A proportion of no observations has no interval; give at least one.")
    z = ndtri(0.5 + confidence / 2)
    weight = n + z**2
    middle = (successes + z**2 / 2) / weight
    half = z * np.sqrt(middle * (1 - middle) / weight)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def share_figure(hits: ArrayLike, reason: str) -> Figure:
    """Return the share of hits, each of a patient of his own, with Wilson's interval; `reason` where there are none."""
    right = np.asarray(hits, dtype=bool)
    if len(right) == 0:
        return Figure(value=None, low=None, high=None, n=0, reason=reason)
    low, high = wilson_interval(float(right.sum()), len(right))
    return Figure(value=float(right.mean()), low=low, high=high, n=len(right), method="Wilson")


def auroc_interval(
    positive: ArrayLike, scores: ArrayLike, clusters: ArrayLike | None = None, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return an AUROC with its interval by DeLong on the logit scale, continuity-corrected.

    The variance is DeLong's; with `clusters`, that of Obuchowski, in which the rows of a cluster count as one
    observation. The interval is made on the logit scale. The correction: an AUROC closer to 0 or 1 than
    ``d = (1/m + 1/n) / 8`` (half an observation between m positive and n negative clusters) is taken as that
    far away, with a variance of at least Hanley and McNeil's there, so that a perfect separation of few
    patients does not claim certainty.

    Parameters
    ----------
    positive
        Array of shape (rows,), true for the positive class.
    scores
        Array of shape (rows,): larger speaks for the positive class.
    clusters
        Array of shape (rows,), what belongs together: the patient of a slice. Each row is its own by default.
    confidence
        Level of the interval.

    Returns
    -------
    tuple
        Value, low and high. The interval always holds the value.

    Raises
    ------
    EvaluationError
        A class has fewer than two clusters.

    Notes
    -----
    DeLong, DeLong and Clarke-Pearson 1988; Obuchowski 1997 (clusters);
    Hanley and McNeil 1982.
    """
    found = measure_auroc(positive, scores, clusters)
    level = 0.5 + confidence / 2
    # Few patients with many slices know their own variance badly: Student's t says how badly.
    quantile = ndtri(level) if clusters is None else stdtrit(found.fewest - 1, level)
    half = quantile * np.sqrt(found.variance)
    low, high = float(expit(found.logit - half)), float(expit(found.logit + half))
    return found.value, min(low, found.value), max(high, found.value)


def measure_auroc(positive: ArrayLike, scores: ArrayLike, clusters: ArrayLike | None = None) -> LogitAuroc:
    """Return an AUROC and its logit with the variance that :func:`auroc_interval` rests on.

    Parameters
    ----------
    positive, scores, clusters
        As in :func:`auroc_interval`.

    Raises
    ------
    EvaluationError
        A class has fewer than two clusters.
    """
    truth = np.asarray(positive, dtype=bool)
    score = np.asarray(scores, dtype=np.float64)
    names = np.arange(len(score)) if clusters is None else np.asarray(clusters)
    yes, no = _placements(truth, score)
    value = float(yes.mean()) if len(yes) and len(no) else float("nan")
    variance_yes, m = _mean_variance(yes, names[truth])
    variance_no, n = _mean_variance(no, names[~truth])
    if min(m, n) < 2:
        raise EvaluationError(f"An interval needs two of each class; there are {m} positive and {n} negative.")
    variance = variance_yes + variance_no
    nearest = (1 / m + 1 / n) / 8
    centre = min(max(value, nearest), 1 - nearest)
    if centre != value:
        variance = max(variance, hanley_mcneil_variance(centre, m, n))
    scale = centre * (1 - centre)
    return LogitAuroc(value=value, logit=float(logit(centre)), variance=float(variance / scale**2), fewest=min(m, n))


def auroc_influence(positive: ArrayLike, scores: ArrayLike) -> Floats:
    """Return how far each row moves the AUROC, of shape (rows,): its squares add up to DeLong's variance.

    Rows of the classes are centred; see :func:`core.evaluation.influence.cluster_influence` for clusters.
    """
    return auroc_with_influence(positive, scores)[1]


def auroc_with_influence(positive: ArrayLike, scores: ArrayLike) -> tuple[float, Floats]:
    """Return the AUROC, and :func:`auroc_influence`; both classes must be there."""
    truth = np.asarray(positive, dtype=bool)
    yes, no = _placements(truth, np.asarray(scores, dtype=np.float64))
    value = float(yes.mean())
    influence = np.empty(len(truth))
    influence[truth] = (yes - value) / len(yes)
    influence[~truth] = (no - value) / len(no)
    return value, influence


def bootstrap_weights(
    labels: ArrayLike, clusters: ArrayLike | None = None, *, draws: int = 2000, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Draw bootstrap samples of clusters, stratified by label: each class keeps its number of clusters.

    Returns
    -------
    tuple
        Counts of shape (draws, clusters), and for each row the index of its cluster, of shape (rows,). The rows'
        weights of some draws are ``counts[some][:, member]``.
    """
    truth = np.asarray(labels)
    names = np.arange(len(truth)) if clusters is None else np.asarray(clusters)
    _, first, member = np.unique(names, return_index=True, return_inverse=True)
    strata = truth[first]
    generator = np.random.default_rng(seed)
    counts = np.zeros((draws, len(first)))
    for stratum in np.unique(strata):
        inside = np.flatnonzero(strata == stratum)
        counts[:, inside] = generator.multinomial(len(inside), np.full(len(inside), 1 / len(inside)), size=draws)
    return counts, member


def bootstrap_interval(
    statistic: Callable[[Floats], Floats],
    labels: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    method: Literal["percentile", "bca"] = "bca",
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return a bootstrap interval, resampling whole clusters within each class.

    Parameters
    ----------
    statistic
        Takes weights of shape (draws, rows), returns the figure for each draw (:mod:`core.evaluation.metrics`).
    labels
        Array of shape (rows,): the strata.
    clusters
        Array of shape (rows,): the patient of a slice; slices of one patient are not independent.
    method
        ``percentile``, or ``bca``: bias-corrected and accelerated (Efron 1987), the acceleration by leaving one
        cluster out. BCa falls back to percentile where it is undefined (all draws on one side of the value).

    Raises
    ------
    EvaluationError
        A class has fewer than two clusters, or the samples do not vary or leave the figure undefined: then the
        bootstrap knows nothing of the uncertainty.
    """
    counts, member = bootstrap_weights(labels, clusters, draws=draws, seed=seed)
    _check_strata(np.asarray(labels), member)
    replicates = np.sort(_in_steps(statistic, counts, member))
    if np.isnan(replicates).any():
        raise EvaluationError("The figure is undefined on some bootstrap samples; more patients are needed.")
    if replicates[0] == replicates[-1]:
        raise EvaluationError("All bootstrap samples give the same figure; too few patients to say how sure it is.")
    levels = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if method == "bca":
        levels = _bca_levels(statistic, replicates, counts.shape[1], member, levels)
    low, high = np.quantile(replicates, levels)
    return float(low), float(high)


def _in_steps(statistic: Callable[[Floats], Floats], counts: Floats, member: NDArray[np.intp]) -> Floats:
    step = max(1, ROWS_AT_ONCE // max(1, len(member)))
    return np.concatenate([statistic(counts[at : at + step][:, member]) for at in range(0, len(counts), step)])


def _bca_levels(
    statistic: Callable[[Floats], Floats],
    replicates: Floats,
    cluster_count: int,
    member: NDArray[np.intp],
    levels: Floats,
) -> Floats:
    value = statistic(np.ones((1, len(member))))[0]
    below = np.mean(replicates < value) + np.mean(replicates == value) / 2
    if not 0 < below < 1:
        return levels
    left_out = _in_steps(statistic, 1 - np.eye(cluster_count), member)
    distance = np.nanmean(left_out) - left_out
    spread = np.nansum(distance**2) ** 1.5
    acceleration = np.nansum(distance**3) / (6 * spread) if spread > 0 else 0.0
    bias = ndtri(below)
    shifted = bias + ndtri(levels)
    return ndtr(bias + shifted / (1 - acceleration * shifted))


def _check_strata(labels: NDArray[np.int64], member: NDArray[np.intp]) -> None:
    for label in np.unique(labels):
        if len(np.unique(member[labels == label])) < 2:
            raise EvaluationError(f"Class {label} has one patient only; an interval needs two of each class.")


def _placements(truth: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats]:
    """Share of the other class that each positive row beats, and that beats each negative row; ties half."""
    ours, theirs = np.sort(score[truth]), np.sort(score[~truth])
    m, n = max(len(ours), 1), max(len(theirs), 1)
    yes = (np.searchsorted(theirs, score[truth], "left") + np.searchsorted(theirs, score[truth], "right")) / (2 * n)
    no = 1 - (np.searchsorted(ours, score[~truth], "left") + np.searchsorted(ours, score[~truth], "right")) / (2 * m)
    return yes, no


def _mean_variance(values: Floats, clusters: NDArray[np.generic]) -> tuple[float, int]:
    """Variance of the mean of `values` when whole clusters are drawn, and how many clusters there are."""
    found, member = np.unique(clusters, return_inverse=True)
    count = len(found)
    if count < 2:
        return 0.0, count
    sums = np.bincount(member, values - values.mean(), minlength=count)
    return float(count / (count - 1) * (sums**2).sum() / len(values) ** 2), count


def hanley_mcneil_variance(value: float, m: int, n: int) -> float:
    """Return the variance of an AUROC of `value` between `m` positive and `n` negative patients, from its value alone.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic curve".
    """
    one = value / (2 - value)
    two = 2 * value**2 / (1 + value)
    return (value * (1 - value) + (m - 1) * (one - value**2) + (n - 1) * (two - value**2)) / (m * n)
