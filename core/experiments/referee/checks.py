"""Statistical checks of predictions: each one p-value, all of a report adjusted together, so that a clean table is accused in
5% of reports at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, expit, ndtr
from scipy.stats import chi2_contingency, fisher_exact, kruskal, rankdata

from core.errors import EvaluationError
from core.evaluation.intervals import LogitAuroc, measure_auroc
from core.evaluation.permutation import adjust_holm
from core.experiments.referee.findings import FEWEST, Finding

LEVEL = 0.05
SMALLEST_SITE = 5
"""Patients; smaller sites are put together."""


def find_by_tests(p_values: Mapping[str, float | None], texts: Mapping[str, Finding]) -> list[Finding]:
    """Return the findings whose test is below the level once all of them are adjusted for their number (Holm)."""
    adjusted = adjust_holm({kind: p for kind, p in p_values.items() if p is not None and np.isfinite(p)})
    return [replace(texts[kind], p=p) for kind, p in adjusted.items() if p <= LEVEL]


def below_chance_p(positive: ArrayLike, scores: ArrayLike, strata: ArrayLike) -> float | None:
    """Return the one-sided p that positives score lower, ranked within strata (folds) only.

    Notes
    -----
    Van Elteren 1960: rank sums of the strata, each weighted by 1 / (N + 1).
    """
    truth, score, names = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=np.float64), np.asarray(strata)
    distance = variance = 0.0
    for name in np.unique(names):
        inside = names == name
        ranks, m, n = rankdata(score[inside]), int(truth[inside].sum()), int((~truth[inside]).sum())
        if min(m, n) == 0:
            continue
        distance += (ranks[truth[inside]].sum() - m * ranks.mean()) / (m + n + 1)
        variance += m * n * ranks.var(ddof=1) / (m + n) / (m + n + 1) ** 2
    return float(ndtr(distance / np.sqrt(variance))) if variance > 0 else None


def calibration_p(positive: ArrayLike, odds: ArrayLike) -> float | None:
    """Return the p of probabilities that are right: intercept 0 and slope 1 together.

    Notes
    -----
    Cox 1958, "Two further applications of a model for binary regression"; the score test, which needs no fit and so holds for
    few patients and for classes that are separated.
    """
    truth, scores = np.asarray(positive, dtype=np.float64), np.asarray(odds, dtype=np.float64)
    columns = np.stack([np.ones(len(scores)), scores], axis=1)
    probability = expit(scores)
    score = columns.T @ (truth - probability)
    information = (columns.T * (probability * (1 - probability))) @ columns
    rank = int(np.linalg.matrix_rank(information, hermitian=True))
    if rank == 0:
        return None
    return float(chdtrc(rank, score @ np.linalg.pinv(information, hermitian=True) @ score))


def site_p(positive: ArrayLike, scores: ArrayLike, sites: ArrayLike) -> float | None:
    """Return the p of a ranking that comes from the sites: sites differ in their share of positives, and in the scores of
    patients of one class.

    Both are needed, so the larger p of the two holds (intersection-union test).
    """
    truth, score = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=np.float64)
    names = pd.Series(np.asarray(sites)).astype(str)
    site = names.where(names.map(names.value_counts()) >= SMALLEST_SITE, "other").to_numpy()
    if len(np.unique(site)) < 2 or truth.all() or not truth.any():
        return None
    with_label = float(chi2_contingency(pd.crosstab(site, truth), correction=False).pvalue)
    statistic, freedom = 0.0, 0
    for label in (False, True):
        groups = [score[(truth == label) & (site == name)] for name in np.unique(site)]
        groups = [group for group in groups if len(group) > 1]
        if len(groups) > 1 and np.ptp(np.concatenate(groups)) > 0:
            statistic += float(kruskal(*groups).statistic)
            freedom += len(groups) - 1
    return max(with_label, float(chdtrc(freedom, statistic))) if freedom else None


def shares_p(first: ArrayLike, second: ArrayLike) -> float | None:
    """Return the p of two equal shares, given as arrays of truth (Fisher's exact test)."""
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if not len(one) or not len(other):
        return None
    return float(fisher_exact([[one.sum(), (~one).sum()], [other.sum(), (~other).sum()]]).pvalue)


def better_p(one: tuple[ArrayLike, ArrayLike], other: tuple[ArrayLike, ArrayLike]) -> float | None:
    """Return the one-sided p that `one` (labels, scores) has no larger AUROC than `other`, of other patients."""
    found = [_measure(*pair) for pair in (one, other)]
    first, second = found
    if first is None or second is None:
        return None
    return float(ndtr((second.logit - first.logit) / np.sqrt(first.variance + second.variance)))


def interaction_p(positive: ArrayLike, scores: ArrayLike, levels: ArrayLike) -> float | None:
    """Return the p of one AUROC for all levels of a covariate that hold enough of each class (Cochran's Q on logits)."""
    truth, score, names = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=np.float64), np.asarray(levels)
    found = [_measure(truth[names == name], score[names == name]) for name in np.unique(names)]
    known = [one for one in found if one is not None]
    if len(known) < 2:
        return None
    logits, weights = np.array([one.logit for one in known]), 1 / np.array([one.variance for one in known])
    mean = weights @ logits / weights.sum()
    return float(chdtrc(len(known) - 1, weights @ (logits - mean) ** 2))


def _measure(positive: ArrayLike, scores: ArrayLike) -> LogitAuroc | None:
    truth = np.asarray(positive, dtype=bool)
    if min(truth.sum(), (~truth).sum()) < FEWEST:
        return None
    try:
        found = measure_auroc(truth, scores)
    except EvaluationError:
        return None
    return found if found.variance > 0 else None


def levels_of(patients: pd.DataFrame, name: str) -> NDArray[np.str_] | None:
    """Return a covariate as levels of shape (patients,), a number cut at its median; None where fewer than two can be judged.

    A level needs :data:`FEWEST` patients of each class; patients without a value are of none.
    """
    values = patients[name]
    if pd.api.types.is_float_dtype(values):
        middle = float(values.median())
        above = np.where(values >= middle, f"{middle:g} and above", f"below {middle:g}")
        levels = np.where(values.isna(), "", above).astype(np.str_)
    else:
        levels = values.fillna("").astype(str).to_numpy(dtype=np.str_)
    counts = patients.groupby([levels, "label"]).size().unstack(fill_value=0)
    enough = {level for level in counts.index if level and counts.shape[1] > 1 and counts.loc[level].min() >= FEWEST}
    return np.where(np.isin(levels, sorted(enough)), levels, "") if len(enough) > 1 else None
