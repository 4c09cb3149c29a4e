"""One phase of an epoch in a few figures, from its slices' logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from core.errors import EvaluationError
from core.evaluation import metrics
from core.evaluation.aggregate import Aggregation, group_labels, log_odds, to_groups
from core.evaluation.calibration import to_probabilities
from core.evaluation.intervals import auroc_interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PhaseSummary", "name_patients", "summarise_phase"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSummary:
    """Figures of a training or validation phase."""

    loss: float
    """Mean cross-entropy over slices, in nats."""
    accuracy: float
    """Share of slices whose largest logit is the true class: the paper's accuracy."""
    patient_accuracy: float
    """The same over patients, by the logits that their slices are combined to."""
    patient_auroc: float | None
    """None where only one class is present; for more than two classes the mean of one against the rest."""
    patient_auroc_low: float | None
    patient_auroc_high: float | None


def name_patients(rows: pd.DataFrame) -> NDArray[np.str_]:
    """Return the patient of each row of a slice table: the person, of shape (rows,).

    Where a person's studies bear different labels (possible in a leaky split only), the study stands for the
    patient: two truths cannot be averaged.
    """
    person = rows["person"].astype(str)
    ambiguous = rows.groupby("person")["label"].transform("nunique") > 1
    return person.where(~ambiguous, rows["study_id"].astype(str)).to_numpy(dtype=np.str_)


def summarise_phase(
    labels: NDArray[np.int64],
    logits: NDArray[np.float32],
    patients: NDArray[np.str_],
    positive_class: int,
    aggregation: Aggregation = "mean_logit",
    top_k: int = 3,
) -> PhaseSummary:
    """Compute the figures of one phase.

    Parameters
    ----------
    labels
        Array of shape (slices,), class indices.
    logits
        Array of shape (slices, classes).
    patients
        Array of shape (slices,), from :func:`name_patients`.
    positive_class
        Index of the positive class.
    aggregation, top_k
        From slices to patients (:func:`core.evaluation.aggregate.to_groups`).
    """
    scores = logits.astype(np.float64)
    likelihood = log_softmax(scores, axis=1)[np.arange(len(labels)), labels]
    _, patient_logits = to_groups(scores, patients, aggregation, positive_class=positive_class, k=top_k)
    truth = group_labels(labels, patients)
    value, low, high = _auroc(truth, patient_logits, positive_class)
    return PhaseSummary(
        loss=float(-likelihood.mean()),
        accuracy=float((scores.argmax(axis=1) == labels).mean()),
        patient_accuracy=float((patient_logits.argmax(axis=1) == truth).mean()),
        patient_auroc=value,
        patient_auroc_low=low,
        patient_auroc_high=high,
    )


def _auroc(
    truth: NDArray[np.int64], logits: NDArray[np.float64], positive_class: int
) -> tuple[float | None, float | None, float | None]:
    if len(np.unique(truth)) < 2:
        return None, None, None
    once = np.ones((1, len(truth)))
    if logits.shape[1] != 2:
        return float(metrics.macro_auroc(truth, to_probabilities(logits), once)[0]), None, None
    odds = log_odds(logits, positive_class)
    try:
        return auroc_interval(truth == positive_class, odds)
    except EvaluationError:
        return float(metrics.auroc(truth == positive_class, odds, once)[0]), None, None
