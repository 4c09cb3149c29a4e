"""What is true after a choice: of the best of several epochs, judged by the patients that chose it.

The AUROC of the best of twenty epochs, on the patients that chose it, lies above 0.5 with its whole interval for up to four
of ten networks that know nothing. Three things mend that here: the AUROC is corrected by a bootstrap in which some patients
choose and others judge; temperature, threshold and sets are fitted to what an epoch says of a patient who had no part in
choosing it; and what cannot be corrected so is printed without an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, log_ndtr, logit, ndtri, stdtrit

from core.errors import EvaluationError
from core.evaluation import metrics
from core.evaluation.aggregate import log_odds
from core.evaluation.calibration import deal_evenly, to_probabilities
from core.evaluation.figure import ALL_EQUAL, Figure
from core.evaluation.intervals import auroc_influence, bootstrap_weights, hanley_mcneil_variance
from core.evaluation.metrics import Floats, Integers

REACH = 12.0
"""Standard deviations to either side within which the integral is taken."""
STEPS = 24_001
FEWEST = 4
"""Patients of a class with which an AUROC can be corrected for a choice."""
SET_FOLDS = 5
"""Of the patients that sets of classes are fitted on: four choose an epoch for the fifth."""
DRAWS = 400
"""Bootstrap samples of a corrected AUROC; twice as many move it by under 0.005."""
WITHHELD = "no interval: these patients chose the epoch and the threshold"
CORRECTED = "bootstrap bias correction (BBC-CV): some patients choose the epoch, the others judge it"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """What every epoch said of the patients that chose among them (or every other candidate, in the order of preference)."""

    labels: Integers
    """(patients,)."""
    logits: Floats
    """(epochs, patients, classes)."""
    losses: Floats
    """(epochs, patients): cross-entropy, summed over a patient's slices."""
    hits: Floats
    """(epochs, patients): slices whose largest logit is the true class."""
    positive_class: int
    select_on: str
    """"val_patient_auroc", "val_accuracy" or "val_loss": by slice but the first."""

    @property
    def odds(self) -> Floats:
        """Log odds of the positive class: (epochs, patients)."""
        return np.array([log_odds(epoch, self.positive_class) for epoch in self.logits])

    def choose(self, weights: Floats) -> Integers:
        """Return the best epoch, counted from 0, by each weighting (draws, patients): (draws,).

        Of equal figures the lower loss is taken, and of equals in both the first: as in training.
        """
        if self.select_on == "val_accuracy":
            score = weights @ self.hits.T
        elif self.select_on == "val_patient_auroc" and len(np.unique(self.labels)) > 1:
            score = np.stack([self._areas(epoch, weights) for epoch in self.logits], axis=1)
        else:
            score = np.full((len(weights), len(self.logits)), np.nan)
        # As in training, the loss stands in where there is no AUROC: a class without weight.
        losses = weights @ self.losses.T
        score = np.where(np.isnan(score), -losses, score)
        tied = score == score.max(axis=1, keepdims=True)
        return np.where(tied, losses, np.inf).argmin(axis=1).astype(np.int64)

    def _areas(self, logits: Floats, weights: Floats) -> Floats:
        if logits.shape[1] == 2:
            positive = self.labels == self.positive_class
            return metrics.auroc(positive, log_odds(logits, self.positive_class), weights)
        return metrics.macro_auroc(self.labels, to_probabilities(logits), weights)

    def score_left_out(self, folds: int | None = None) -> Floats:
        """Return each patient's logits by the epoch that the patients of the other folds choose: (patients, classes).

        By default each patient is a fold. That serves a temperature: of larger folds the epochs differ more, in scale, too.
        Sets of classes need larger ones (:data:`SET_FOLDS`): of unrelated candidates they covered 0.89 of the 0.90 promised,
        for who flatters an epoch seldom leaves it alone (``benchmarks/bench_selection.py``).
        """
        fold = np.arange(len(self.labels)) if folds is None else deal_evenly(self.labels, folds)
        weights = (fold != np.arange(fold.max() + 1)[:, None]).astype(np.float64)
        return self.logits[self.choose(weights)[fold], np.arange(len(self.labels))]


def join_selections(selections: Sequence[Selection]) -> Selection | None:
    """Return the epochs of several trainings as one choice; None unless all were judged by the same patients and figure."""
    first = selections[0] if selections else None
    if first is None or any(
        not np.array_equal(one.labels, first.labels)
        or (one.select_on, one.positive_class) != (first.select_on, first.positive_class)
        for one in selections
    ):
        return None
    return replace(
        first,
        logits=np.concatenate([one.logits for one in selections]),
        losses=np.concatenate([one.losses for one in selections]),
        hits=np.concatenate([one.hits for one in selections]),
    )


def correct_auroc(selection: Selection, draws: int = DRAWS, seed: int = 0) -> Figure:
    """Return the AUROC of the chosen epoch, by patient, corrected for the choice, with its interval.

    In each bootstrap sample the patients that were drawn choose an epoch, and those that were not judge it; the value is the
    mean over samples. The interval is made on the logit scale around it. Its variance is DeLong's of the chosen epochs, and
    at least Hanley and McNeil's at the corrected value: the best epoch of few patients separates them too well to know its own
    variance. It holds the apparent AUROC, too: that of few patients whom an epoch separates well is corrected by too much.

    Returns
    -------
    Figure
        Of what the run's network is worth on other patients. Without an interval for more than two classes, or where a class
        has fewer than four patients: then nobody would be left to judge. Neither where no chosen epoch ranks anybody.

    Notes
    -----
    Tsamardinos, Greasidou and Borboudakis 2018, "Bootstrapping the out-of-sample predictions for efficient and accurate
    cross-validation". Their percentile interval is that of the third of the patients who are not drawn, so it covers 99 to
    100%; this one is that of all of them (benchmarks/bench_selection.py).
    """
    positive, n = selection.labels == selection.positive_class, len(selection.labels)
    m = int(positive.sum())
    if selection.logits.shape[2] != 2 or min(m, n - m) < FEWEST:
        reason = f"{WITHHELD}, and a correction needs {FEWEST} patients of each of two classes"
        return Figure(value=None, low=None, high=None, n=n, reason=reason)
    odds = selection.odds
    counts, _ = bootstrap_weights(selection.labels, draws=draws, seed=seed)
    chosen, outside = selection.choose(counts), (counts == 0).astype(np.float64)
    if all(np.ptp(odds[epoch]) == 0 for epoch in np.unique(chosen)):
        return Figure(value=None, low=None, high=None, n=n, reason=ALL_EQUAL)
    areas, alone, together = np.empty(draws), 0.0, np.zeros(n)
    for epoch in np.unique(chosen):
        rows = chosen == epoch
        # A single epoch was not chosen: its AUROC needs no correction.
        judges = outside[rows] if len(odds) > 1 else np.ones_like(outside)
        areas[rows] = metrics.auroc(positive, odds[epoch], judges)
        influence = auroc_influence(positive, odds[epoch])
        alone += rows.mean() * float(influence @ influence)
        together += rows.mean() * influence
    value = float(np.nanmean(areas))
    nearest = (1 / m + 1 / (n - m)) / 8
    centre = min(max(value, nearest), 1 - nearest)
    variance = max(alone, hanley_mcneil_variance(centre, m, n - m))
    # Several epochs in one mean err less than one of them; the choice between them takes most of that back.
    variance *= (3 + float(together @ together) / alone) / 4 if alone else 1.0
    error = float(np.sqrt(variance) / (centre * (1 - centre)))
    # Two thirds of the patients choose in each sample, so the value is a little too low: of few, the upper end goes as far
    # as Student's t.
    above = stdtrit(min(m, n - m) - 1, 0.975) if len(odds) > 1 else ndtri(0.975)
    low, high = (float(expit(logit(centre) + end * error)) for end in (ndtri(0.025), above))
    best = int(selection.choose(np.ones((1, n)))[0])
    apparent = float(metrics.auroc(positive, odds[best], np.ones((1, n)))[0])
    return Figure(value=value, low=min(low, value), high=max(high, value, apparent), n=n, method=CORRECTED)


def withhold_intervals(figures: Mapping[str, Figure], corrected: Figure | None = None) -> dict[str, Figure]:
    """Return figures of patients that chose the epoch as they may be printed: all pages, cards and commands ask this.

    Parameters
    ----------
    figures
        By name, computed as if the patients had chosen nothing.
    corrected
        The AUROC corrected for the choice; None where a run of an older version keeps too little for it.
    """
    kept = {name: withhold_interval(figure) for name, figure in figures.items()}
    if corrected is not None and corrected.value is not None:
        kept["auroc"] = corrected
    return kept


def withhold_interval(figure: Figure) -> Figure:
    """Return a figure without its interval, and with the reason, unless it is corrected for the choice."""
    if figure.low is None or figure.method == CORRECTED:
        return figure
    return replace(figure, low=None, high=None, method="", reason=WITHHELD)


def expected_maximum(count: int) -> float:
    """Return the expected largest of `count` independent standard normal numbers.

    The integral of ``x * count * phi(x) * Phi(x)^(count - 1)``: 0 for one, 0.564 for two, 1.867 for twenty.

    Raises
    ------
    EvaluationError
        The count is not a whole number of 1 or more.
    """
    if count < 1:
        raise EvaluationError(f"The largest of {count} numbers does not exist; give at least one.")
    x = np.linspace(-REACH, REACH, STEPS)
    log_density = np.log(count) - x**2 / 2 - np.log(2 * np.pi) / 2 + (count - 1) * log_ndtr(x)
    return float(np.trapezoid(x * np.exp(log_density), x))


def expected_gain(count: int, standard_error: float, correlation: float = 0.0) -> float:
    """Return by how much the best of `count` equally good models exceeds the truth in expectation, by noise alone.

    Parameters
    ----------
    count
        Models that were compared.
    standard_error
        Of one model's figure on these patients (:func:`core.evaluation.power.auroc_variance`, its root).
    correlation
        Between the figures of two models: they share the patients, whose peculiarities move all figures alike and
        select none. 0 is the upper limit.

    Raises
    ------
    EvaluationError
        No model, a negative error, or a correlation that is none.
    """
    if standard_error < 0 or not 0 <= correlation <= 1:
        raise EvaluationError(
            f"A standard error of {standard_error:g} with a correlation of {correlation:g} cannot be; the error is 0 or "
            "more, the correlation between 0 and 1."
        )
    return float(standard_error * np.sqrt(1 - correlation) * expected_maximum(count))
