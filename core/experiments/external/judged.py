"""A cohort as it was judged: figures by patient with intervals, and all cohorts together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from core.errors import EvaluationError
from core.evaluation.aggregate import log_odds
from core.evaluation.calibration import CALIBRATION_TITLES, measure_calibration
from core.evaluation.intervals import LogitAuroc, measure_auroc
from core.evaluation.meta_analysis import PooledAuroc, pool_aurocs
from core.figure_text import figure_text, interval_text
from core.runs.evaluation import Evaluation

CALIBRATION_SHOWN = {name: CALIBRATION_TITLES[name] for name in ("observed_expected", "intercept", "slope")}


def judge_cohort(name: str, evaluation: Evaluation) -> dict[str, Any]:
    """Return the figures of one cohort, by patient.

    Returns
    -------
    dict
        ``name``, ``data``, ``n``, ``positive``, ``auroc``, ``brier``, ``observed_expected``, ``intercept``, ``slope`` (each
        a figure with interval and n), ``synthetic``, ``looked_at``, ``notes``; and ``logit``, what a mean over cohorts
        takes: {"value", "logit", "variance", "fewest"}, or None where
        the AUROC has no variance: of few patients, or of scores that are all equal.

    Raises
    ------
    EvaluationError
        There are more than two classes.
    """
    if len(evaluation.class_names) != 2:
        raise EvaluationError(
            f"Cohorts are compared for two classes only; this checkpoint knows {', '.join(evaluation.class_names)}."
        )
    positive = evaluation.patient_labels == evaluation.positive_class
    odds = log_odds(evaluation.patient_logits / evaluation.temperature, evaluation.positive_class)
    logit = None
    with suppress(EvaluationError):
        found = measure_auroc(positive, odds)
        if found.variance > 0:
            logit = {"value": found.value, "logit": found.logit, "variance": found.variance, "fewest": found.fewest}
    return {
        "name": name,
        "data": evaluation.data,
        "n": len(positive),
        "positive": int(positive.sum()),
        "auroc": evaluation.patient["auroc"].to_dict(),
        "brier": evaluation.patient["brier"].to_dict(),
        **{key: figure.to_dict() for key, figure in measure_calibration(positive, odds).items()},
        "threshold": evaluation.threshold,
        "temperature": evaluation.temperature,
        "synthetic": evaluation.synthetic,
        "looked_at": evaluation.looked_at,
        "guard": evaluation.guard,
        "notes": list(evaluation.notes),
        "logit": logit,
    }


def pool_cohorts(judged: Sequence[Mapping[str, Any]]) -> PooledAuroc:
    """Return the mean over the cohorts whose AUROC has a variance."""
    return pool_aurocs([LogitAuroc(**one["logit"]) for one in judged if one["logit"]])


def describe_pool(pooled: PooledAuroc, count: int, who: str) -> str:
    """Say in a sentence or two what cohorts together found; `who` is what was left out or evaluated ("cohorts")."""
    if pooled.mean.value is None:
        return f"No mean over {who}: {pooled.mean.reason}."
    text = f"Mean AUROC by patient over {pooled.mean.n} of {count} {who}, with its 95% interval: {figure_text(pooled.mean, who)}."
    limits = interval_text(pooled.prediction.low, pooled.prediction.high)
    if not limits:
        return f"{text} {pooled.prediction.reason.capitalize()}."
    text += f" A further one's would lie between {limits.replace(' to ', ' and ')} (95% prediction interval)."
    return f"{text} Unstable: it rests on fewer than five." if pooled.unstable else text
