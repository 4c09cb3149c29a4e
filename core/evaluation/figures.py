"""Evaluate logits against the truth: every figure with its interval and its n, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import EvaluationError
from core.evaluation import metrics
from core.evaluation.aggregate import log_odds
from core.evaluation.calibration import calibration_error_figure, to_probabilities
from core.evaluation.figure import ALL_EQUAL, Figure
from core.evaluation.influence import (
    average_precision_interval,
    mean_interval,
    mean_share_interval,
    share_interval,
)
from core.evaluation.intervals import auroc_interval, bootstrap_interval
from core.evaluation.metrics import Floats, Integers

FIGURE_TITLES: dict[str, str] = {
    "auroc": "AUROC",
    "auprc": "AUPRC (average precision)",
    "accuracy": "Accuracy",
    "majority_accuracy": "Accuracy of always saying the commonest class",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "log_loss": "Log loss",
}
FIGURES = tuple(FIGURE_TITLES)

BY_PATIENT = " by patient"
ONE_CLASS = "all of them are of one class"
BIASED = "no interval: slices of a patient err together, and it lies above the truth by chance alone"
TWO_CLASSES_ONLY = "for two classes only"
WILSON = "Wilson"
AGRESTI_COULL = "Agresti-Coull"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Case:
    """The arrays and settings that all figures are computed from."""

    labels: Integers
    probabilities: Floats
    """(rows, classes)."""
    odds: Floats
    """(rows,): log odds of the positive class; they rank without the ties of saturated probabilities."""
    predicted: Integers
    positive_class: int
    clusters: NDArray[np.generic] | None
    draws: int
    seed: int
    confidence: float

    @property
    def positive(self) -> NDArray[np.bool_]:
        return self.labels == self.positive_class

    @property
    def probability(self) -> Floats:
        return self.probabilities[:, self.positive_class]

    @property
    def classes_present(self) -> int:
        return len(np.unique(self.labels))


def predict_classes(
    logits: ArrayLike, *, positive_class: int = 1, threshold: float = 0.5, temperature: float = 1.0
) -> Integers:
    """Return the predicted class of each row: (rows, classes) -> (rows,).

    Two classes: positive where the calibrated probability is at least the threshold. More: the largest.
    """
    probabilities = to_probabilities(logits, temperature)
    if probabilities.shape[1] != 2:
        return probabilities.argmax(axis=1).astype(np.int64)
    called = probabilities[:, positive_class] >= threshold
    return np.where(called, positive_class, 1 - positive_class).astype(np.int64)


def compute_figures(
    labels: ArrayLike,
    logits: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    class_names: Sequence[str] = ("unmethylated", "methylated"),
    positive_class: int = 1,
    threshold: float = 0.5,
    temperature: float = 1.0,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Figure]:
    """Compute every figure of :data:`FIGURES`.

    Parameters
    ----------
    labels
        Array of shape (rows,), class indices.
    logits
        Array of shape (rows, classes), before the temperature.
    groups
        Array of shape (rows,): the patient of each slice. Intervals then treat patients, not slices, as what was
        sampled. None where each row is a patient.
    class_names
        Names of the classes; only used in reasons.
    positive_class, threshold, temperature
        As the checkpoint says.
    draws, seed
        Of the bootstrap.
    confidence
        Of the intervals.

    Returns
    -------
    dict
        One :class:`Figure` per name; its ``n`` is the number of rows it is computed from (for sensitivity, of
        positive rows). A figure that cannot be had has the value None and a reason.

    Raises
    ------
    EvaluationError
        There are no rows, the shapes disagree, or a logit is not finite.
    """
    case = _check(labels, logits, groups, class_names, positive_class, threshold, temperature, draws, seed, confidence)
    figures = {
        "accuracy": _right(case, np.full(len(case.labels), True)),
        "majority_accuracy": _majority(case, class_names),
        "balanced_accuracy": _balanced_accuracy(case),
        "auroc": _auroc(case),
    }
    if len(class_names) != 2:
        absent = Figure(value=None, low=None, high=None, n=len(case.labels), reason=TWO_CLASSES_ONLY)
        return {name: figures.get(name, absent) for name in FIGURES}
    figures |= {
        "sensitivity": _rate(case, case.positive, class_names[positive_class]),
        "specificity": _rate(case, ~case.positive, class_names[1 - positive_class]),
        "auprc": _average_precision(case),
        "brier": _mean_loss(case, (case.probability - case.positive) ** 2, most=1.0),
        "ece": _calibration_error(case),
        "log_loss": _mean_loss(case, metrics.log_losses(case.positive, case.probability)),
    }
    return {name: figures[name] for name in FIGURES}


def _check(
    labels: ArrayLike,
    logits: ArrayLike,
    groups: ArrayLike | None,
    class_names: Sequence[str],
    positive_class: int,
    threshold: float,
    temperature: float,
    draws: int,
    seed: int,
    confidence: float,
) -> _Case:
    truth = np.asarray(labels, dtype=np.int64)
    scores = np.asarray(logits, dtype=np.float64)
    if scores.shape != (len(truth), len(class_names)):
        raise EvaluationError(
            f"Logits of shape {scores.shape} do not fit {len(truth)} labels of {len(class_names)} classes; "
            "give one row per label and one column per class."
        )
    if len(truth) == 0:
        raise EvaluationError("There is nothing to evaluate: no labelled slice is in this part.")
    if not np.isfinite(scores).all():
        raise EvaluationError("The logits are not finite numbers; the checkpoint's weights are damaged, train again.")
    return _Case(
        labels=truth,
        probabilities=to_probabilities(scores, temperature),
        odds=log_odds(scores, positive_class),
        predicted=predict_classes(scores, positive_class=positive_class, threshold=threshold, temperature=temperature),
        positive_class=positive_class,
        clusters=None if groups is None else np.asarray(groups),
        draws=draws,
        seed=seed,
        confidence=confidence,
    )


def _right(case: _Case, rows: NDArray[np.bool_]) -> Figure:
    """The share of `rows` that was classified correctly; clustered slices count by their effective sample size."""
    right = (case.labels == case.predicted)[rows]
    if case.clusters is None:
        value, low, high = share_interval(right, case.labels[rows], confidence=case.confidence)
        return Figure(value=value, low=low, high=high, n=len(right), method=WILSON)
    clusters = case.clusters[rows]
    method = f"{AGRESTI_COULL} over {len(np.unique(clusters))} patients"
    return _with_interval(
        partial(share_interval, right, case.labels[rows], clusters, case.confidence), right.mean(), len(right), method
    )


def _rate(case: _Case, rows: NDArray[np.bool_], name: str) -> Figure:
    if not rows.any():
        return Figure(value=None, low=None, high=None, n=0, reason=f"none is {name}")
    return _right(case, rows)


def _majority(case: _Case, class_names: Sequence[str]) -> Figure:
    counts = np.bincount(case.labels, minlength=len(class_names))
    commonest = int(counts.argmax())
    return Figure(
        value=float(counts[commonest] / len(case.labels)),
        low=None,
        high=None,
        n=len(case.labels),
        reason=f"always saying {class_names[commonest]}: a property of these labels, so it has no interval",
    )


def _auroc(case: _Case) -> Figure:
    n = len(case.labels)
    if case.classes_present < 2:
        return Figure(value=None, low=None, high=None, n=n, reason=ONE_CLASS)
    if np.ptp(case.odds) == 0:
        return Figure(value=None, low=None, high=None, n=n, reason=ALL_EQUAL)
    if case.probabilities.shape[1] != 2:
        statistic = partial(metrics.macro_auroc, case.labels, case.probabilities)
        return _bootstrapped(case, statistic, "mean of one-against-rest; ")
    method = "DeLong on the logit scale, continuity-corrected"
    try:
        value, low, high = auroc_interval(case.positive, case.odds, case.clusters, case.confidence)
    except EvaluationError as error:
        value = float(metrics.auroc(case.positive, case.odds, np.ones((1, n)))[0])
        return Figure(value=value, low=None, high=None, n=n, reason=str(error))
    by = "" if case.clusters is None else "; clustered" + BY_PATIENT + " (Obuchowski)"
    return Figure(value=value, low=low, high=high, n=n, method=method + by)


def _calibration_error(case: _Case) -> Figure:
    figure = calibration_error_figure(case.positive, case.probability)
    return figure if case.clusters is None else replace(figure, low=None, high=None, reason=BIASED, method="")


def _balanced_accuracy(case: _Case) -> Figure:
    n = len(case.labels)
    if case.classes_present < 2:
        return Figure(value=None, low=None, high=None, n=n, reason=ONE_CLASS)
    value = metrics.balanced_accuracy(case.labels, case.predicted, np.ones((1, n)))[0]
    interval = partial(mean_share_interval, case.labels == case.predicted, case.labels, case.clusters, case.confidence)
    by = "" if case.clusters is None else BY_PATIENT
    return _with_interval(interval, value, n, f"{AGRESTI_COULL} for each class{by}, joined (MOVER)")


def _average_precision(case: _Case) -> Figure:
    n = len(case.labels)
    if case.classes_present < 2 or np.ptp(case.odds) == 0:
        return Figure(value=None, low=None, high=None, n=n, reason=ONE_CLASS if case.classes_present < 2 else ALL_EQUAL)
    value = metrics.average_precision(case.positive, case.odds, np.ones((1, n)))[0]
    interval = partial(average_precision_interval, case.positive, case.odds, case.clusters, case.confidence)
    return _with_interval(interval, value, n, "influence of each patient, on the logit scale")


def _mean_loss(case: _Case, losses: Floats, most: float = float("inf")) -> Figure:
    interval = partial(mean_interval, losses, case.labels, case.clusters, case.confidence, most=most)
    by = "" if case.clusters is None else BY_PATIENT
    method = f"Student's t{by}, corrected for skewness (Hall)"
    return _with_interval(interval, float(losses.mean()), len(losses), method)


def _with_interval(interval: Callable[[], tuple[float, float, float]], value: float, n: int, method: str) -> Figure:
    """A figure with its interval, or the value alone and why it has none."""
    try:
        _, low, high = interval()
    except EvaluationError as error:
        return Figure(value=float(value), low=None, high=None, n=n, reason=str(error))
    return Figure(value=float(value), low=low, high=high, n=n, method=method)


def _bootstrapped(case: _Case, statistic: Callable[[Floats], Floats], note: str) -> Figure:
    """For what has no better interval: the AUROC of more than two classes."""
    n = len(case.labels)
    by = "" if case.clusters is None else BY_PATIENT
    value = float(statistic(np.ones((1, n)))[0])

    def interval() -> tuple[float, float, float]:
        options: dict[str, Any] = {"draws": case.draws, "seed": case.seed, "confidence": case.confidence}
        return value, *bootstrap_interval(statistic, case.labels, case.clusters, **options)

    return _with_interval(interval, value, n, f"{note}bootstrap{by}, stratified by label, {case.draws} draws, BCa")
