"""What an AUROC may be where some labels are wrong: an assay's errors, or a cut-off in its grey zone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.metrics import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelErrorBounds:
    """An AUROC against labels that are wrong at stated rates."""

    sensitivity: float
    specificity: float
    prevalence: float
    """True share of positives that the labels and their errors imply."""
    at_random: Figure
    """The AUROC against true labels where the errors do not depend on the score."""
    lowest: float
    """Where exactly those labels are wrong that flatter the model most."""
    highest: float
    """Where exactly those labels are wrong that hurt it most."""
    wrong: tuple[int, int]
    """Expected numbers of wrong labels among those called positive, and negative."""


def bound_auroc(
    positive: ArrayLike, scores: ArrayLike, observed: Figure, sensitivity: float, specificity: float
) -> LabelErrorBounds:
    """Return what the AUROC against true labels may be where the labels have a stated sensitivity and specificity.

    Parameters
    ----------
    positive, scores
        Arrays of shape (patients,): the labels as they are, and the scores.
    observed
        The AUROC against these labels, with its interval.
    sensitivity, specificity
        Of the labels: the shares of true positives and true negatives that they call so.

    Raises
    ------
    EvaluationError
        A rate is not above 0.5 and at most 1, or these labels cannot come from such an assay.

    Notes
    -----
    Errors at random: ``A* - 1/2 = (A - 1/2)(PPV + NPV - 1)``, PPV and NPV those of the labels (Menon et al. 2015, "Learning
    from corrupted binary labels via class-probability estimation"). The worst and the best case turn round the expected
    number of labels of each class, lowest or highest scores first; no other choice of as many goes further, for the rank sum
    of the positives decides.
    """
    for name, rate in (("sensitivity", sensitivity), ("specificity", specificity)):
        if not 0.5 < rate <= 1:
            raise EvaluationError(f"The labels' {name} is {rate:g}; give a number above 0.5 and at most 1.")
    truth, ranks = np.asarray(positive, dtype=bool), rankdata(np.asarray(scores, dtype=np.float64))
    share = float(truth.mean())
    prevalence = (share + specificity - 1) / (sensitivity + specificity - 1)
    if not 0 < prevalence < 1:
        raise EvaluationError(
            f"A share of {share:.2f} positive labels cannot come from an assay of sensitivity {sensitivity:g} and "
            f"specificity {specificity:g}; state smaller errors."
        )
    right_yes = sensitivity * prevalence / share
    right_no = specificity * (1 - prevalence) / (1 - share)
    kept = right_yes + right_no - 1
    ends = [None if end is None or kept <= 0 else float(np.clip(0.5 + (end - 0.5) / kept, 0, 1))
            for end in (observed.value, observed.low, observed.high)]  # fmt: skip
    wrong = round((1 - right_yes) * truth.sum()), round((1 - right_no) * (~truth).sum())
    return LabelErrorBounds(
        sensitivity=sensitivity,
        specificity=specificity,
        prevalence=prevalence,
        at_random=Figure(
            value=ends[0], low=ends[1], high=ends[2], n=len(truth),
            method="errors that do not depend on the score (Menon 2015)",
        ),
        lowest=_area_after(truth, ranks, wrong, flattering=True),
        highest=_area_after(truth, ranks, wrong, flattering=False),
        wrong=wrong,
    )  # fmt: skip


def _area_after(
    truth: np.ndarray[tuple[int], np.dtype[np.bool_]], ranks: Floats, wrong: tuple[int, int], *, flattering: bool
) -> float:
    """The AUROC once the wrong labels are turned round: those that flattered the model, or those that hurt it."""
    yes, no = np.sort(ranks[truth]), np.sort(ranks[~truth])
    from_yes, from_no = wrong
    if flattering:  # positives with the highest scores were negative, negatives with the lowest positive
        total = yes[: len(yes) - from_yes].sum() + no[:from_no].sum()
    else:
        total = yes[from_yes:].sum() + no[len(no) - from_no :].sum()
    m = len(yes) - from_yes + from_no
    n = len(truth) - m
    return float((total - m * (m + 1) / 2) / (m * n)) if m and n else float("nan")
