"""Metrics of one phase of an epoch, training or validation, from the logits of its slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from core.errors import EvaluationError
from core.evaluation.aggregate import Aggregation, group_labels, log_odds, to_groups
from core.evaluation.calibration import to_probabilities
from core.evaluation.influence import mean_interval, share_interval
from core.evaluation.intervals import auroc_interval
from core.evaluation.metrics import auroc, macro_auroc

HISTOGRAM_BINS = 20

Ends = tuple[float, float] | tuple[None, None]
"""Ends of a 95% interval whose observations are patients, not slices; None where a class has fewer than two of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSummary:
    """Metrics of a training or validation phase."""

    loss: float
    """Mean cross-entropy over slices, in nats."""
    loss_interval: Ends
    accuracy: float
    """Share of slices whose largest logit is the true class: the paper's accuracy."""
    accuracy_interval: Ends
    patient_accuracy: float
    """The same over patients, by the aggregated logits of their slices."""
    patient_auroc: float | None
    """None where only one class is present; for more than two classes the mean of one against the rest."""
    patient_auroc_low: float | None
    patient_auroc_high: float | None
    histogram: tuple[tuple[int, ...], ...]
    """(classes, bins), from :func:`count_probabilities`."""
    predicted: tuple[int, ...]
    """(classes,): slices for which each class had the largest logit."""

    def to_record(self, part: Literal["train", "val"]) -> dict[str, Any]:
        """Return the metrics under the names of :class:`core.runs.records.EpochRecord`, which takes those that it has."""
        found = {
            "loss": self.loss, "loss_low": self.loss_interval[0], "loss_high": self.loss_interval[1],
            "accuracy": self.accuracy, "accuracy_low": self.accuracy_interval[0],
            "accuracy_high": self.accuracy_interval[1], "patient_accuracy": self.patient_accuracy,
            "patient_auroc": self.patient_auroc, "patient_auroc_low": self.patient_auroc_low,
            "patient_auroc_high": self.patient_auroc_high, "histogram": self.histogram, "predicted": self.predicted,
        }  # fmt: skip
        return {f"{part}_{name}": value for name, value in found.items()}


def summarise_phase(
    labels: NDArray[np.int64],
    logits: NDArray[np.float32],
    patients: NDArray[np.str_],
    positive_class: int,
    aggregation: Aggregation = "mean_logit",
    top_k: int = 3,
) -> PhaseSummary:
    """Return the metrics of one phase.

    Parameters
    ----------
    labels
        Array of shape (slices,), class indices.
    logits
        Array of shape (slices, classes).
    patients
        Array of shape (slices,), from :func:`core.dataset.predictions.name_patients`.
    positive_class
        Index of the positive class.
    aggregation, top_k
        From slices to patients (:func:`core.evaluation.aggregate.to_groups`).
    """
    scores = logits.astype(np.float64)
    losses = -log_softmax(scores, axis=1)[np.arange(len(labels)), labels]
    hits = scores.argmax(axis=1) == labels
    clusters = np.unique(patients, return_inverse=True)[1]
    _, patient_logits = to_groups(scores, patients, aggregation, positive_class=positive_class, k=top_k)
    truth = group_labels(labels, patients)
    value, low, high = _auroc(truth, patient_logits, positive_class)
    return PhaseSummary(
        loss=float(losses.mean()),
        loss_interval=_ends(mean_interval, losses, labels, clusters),
        accuracy=float(hits.mean()),
        accuracy_interval=_ends(share_interval, hits, labels, clusters),
        patient_accuracy=float((patient_logits.argmax(axis=1) == truth).mean()),
        patient_auroc=value,
        patient_auroc_low=low,
        patient_auroc_high=high,
        histogram=count_probabilities(labels, logits, positive_class),
        predicted=tuple(np.bincount(scores.argmax(axis=1), minlength=scores.shape[1]).tolist()),
    )


def count_probabilities(
    labels: NDArray[np.int64], logits: NDArray[np.float32], positive_class: int, bins: int = HISTOGRAM_BINS
) -> tuple[tuple[int, ...], ...]:
    """Count slices by the probability that they give to the positive class, apart for each true class.

    Parameters
    ----------
    labels, logits, positive_class
        As in :func:`summarise_phase`.
    bins
        Equal bins over 0..1; the last one holds 1 too.

    Returns
    -------
    tuple
        (classes, bins) counts.
    """
    probabilities = to_probabilities(logits)[:, positive_class]
    places = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    return tuple(
        tuple(np.bincount(places[labels == label], minlength=bins).tolist()) for label in range(logits.shape[1])
    )


def _ends(
    interval: Callable[[ArrayLike, ArrayLike, ArrayLike], tuple[float, float, float]],
    values: NDArray[np.float64] | NDArray[np.bool_],
    labels: NDArray[np.int64],
    clusters: NDArray[np.int64],
) -> Ends:
    try:
        return interval(values, labels, clusters)[1:]
    except EvaluationError:
        return None, None


def _auroc(
    truth: NDArray[np.int64], logits: NDArray[np.float64], positive_class: int
) -> tuple[float | None, float | None, float | None]:
    if len(np.unique(truth)) < 2:
        return None, None, None
    once = np.ones((1, len(truth)))
    if logits.shape[1] != 2:
        return float(macro_auroc(truth, to_probabilities(logits), once)[0]), None, None
    odds = log_odds(logits, positive_class)
    if np.ptp(odds) == 0:  # nobody is ranked: 0.5 by definition, with nothing to make an interval of
        return 0.5, None, None
    try:
        return auroc_interval(truth == positive_class, odds)
    except EvaluationError:
        return float(auroc(truth == positive_class, odds, once)[0]), None, None
