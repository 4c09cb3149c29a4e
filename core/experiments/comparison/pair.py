"""Difference of two runs on the patients that both evaluated, or why they cannot be paired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.figure import Figure
from core.evaluation.paired import auroc_difference, bootstrap_auroc_difference
from core.evaluation.selection import WITHHELD, withhold_interval

if TYPE_CHECKING:
    from core.experiments.comparison.comparison import ComparedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """AUROC by patient of one run less that of another, on the patients that both evaluated."""

    run: str
    reference: str
    figure: Figure | None
    """By a paired bootstrap of patients; None where the two cannot be paired."""
    analytic: Figure | None
    """The same by DeLong's correlation, which holds near 1 and with few patients."""
    adjusted: Figure | None
    """By the bootstrap, at the level that keeps all differences of the comparison together at 95% (Bonferroni); None
    where there is only one."""
    shared: int
    """Patients that both evaluated."""
    own: int
    """Patients that the run evaluated."""
    theirs: int
    """Patients that the reference evaluated."""
    leaky: bool
    """At least one of the two has a leaky split."""
    reason: str
    """Why the two are not paired, or in what their patients differ."""

    @property
    def apart(self) -> bool:
        """Whether both intervals exclude 0, the widest that is there."""
        intervals = [figure for figure in (self.adjusted or self.figure, self.analytic) if figure is not None]
        return bool(intervals) and all(
            figure.low is not None and figure.high is not None and (figure.low > 0 or figure.high < 0)
            for figure in intervals
        )

    @property
    def words(self) -> str:
        """The verdict in words that claim no more than there is."""
        if self.figure is None:
            return f"not paired: {self.reason}"
        if self.figure.value is None:
            return f"no difference: {self.figure.reason}"
        told = "told apart" if self.apart else "not told apart"
        if self.figure.reason == WITHHELD:
            told = f"not tested: {WITHHELD.removeprefix('no interval: ')}"
        leak = "; a leaky split is among them, so this says nothing of new patients" if self.leaky else ""
        return f"{told}{leak}" + (f"; {self.reason}" if self.reason else "")

    def to_dict(self) -> dict[str, Any]:
        """As in ``runs compare --json``."""
        figures = {"difference": self.figure, "analytic": self.analytic, "adjusted": self.adjusted}
        counts = {"shared_patients": self.shared, "run_patients": self.own, "reference_patients": self.theirs}
        return {
            "run": self.run,
            "reference": self.reference,
            "paired": self.figure is not None,
            **{name: figure.to_dict() if figure else None for name, figure in figures.items()},
            **counts,
            "leaky": self.leaky,
            "apart": self.apart,
            "reason": self.reason,
        }


def pair_runs(run: ComparedRun, reference: ComparedRun, comparisons: int) -> Difference:
    """Return the difference of two runs, on the patients that both evaluated; patients that differ are never paired.

    Parameters
    ----------
    run, reference
        The two; the difference is the first less the second.
    comparisons
        How many differences are asked for together.
    """
    own, theirs, shared = 0, 0, 0
    figure = analytic = adjusted = None
    reason = _why_not(run, reference)
    if not reason:
        ids, positive, odds = run.patients()
        other_ids, other_positive, other_odds = reference.patients()
        own, theirs = len(ids), len(other_ids)
        common, here, there = np.intersect1d(ids, other_ids, assume_unique=True, return_indices=True)
        shared = len(common)
        reason = _why_not_these(positive[here], other_positive[there], own, theirs)
        if _pairable(positive[here], other_positive[there]):
            rows = (positive[here], odds[here], other_odds[there])
            figure, analytic = bootstrap_auroc_difference(*rows), auroc_difference(*rows)
            if comparisons > 1:
                adjusted = bootstrap_auroc_difference(*rows, confidence=1 - 0.05 / comparisons)
            if any(one.evaluation is not None and one.evaluation.part == "val" for one in (run, reference)):
                figure, analytic, adjusted = (one and withhold_interval(one) for one in (figure, analytic, adjusted))
    return Difference(
        run=run.label,
        reference=reference.label,
        figure=figure,
        analytic=analytic,
        adjusted=adjusted,
        shared=shared,
        own=own,
        theirs=theirs,
        leaky=run.leaky or reference.leaky,
        reason=reason,
    )


def _why_not(run: ComparedRun, reference: ComparedRun) -> str:
    for one in (run, reference):
        if one.evaluation is None:
            return f"{one.label} has no evaluation ({one.reason})"
    if run.cohort != reference.cohort:
        return "the cohorts are not the same, so that an id need not be the same patient"
    if run.positive_name != reference.positive_name:
        return f"what counts as positive is {run.positive_name!r} in one and {reference.positive_name!r} in the other"
    return ""


def _pairable(positive: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    return bool((positive == other).all() and min(positive.sum(), (~positive).sum()) >= 2)


def _why_not_these(positive: NDArray[np.bool_], other: NDArray[np.bool_], own: int, theirs: int) -> str:
    """Why patients that two runs share cannot be paired, or what is missing from them; empty where all is well."""
    shared = len(positive)
    if shared and (positive != other).any():
        return (
            f"{int((positive != other).sum())} of the {shared} patients that both evaluated have another class in each"
        )
    sets = f"the sets differ: {own} and {theirs} patients, {shared} of them the same"
    if not _pairable(positive, other):
        few = f"{int(positive.sum())} and {int((~positive).sum())} of the classes, two of each are needed"
        return f"{sets} ({few})" if (own, theirs) != (shared, shared) else few
    return "" if (own, theirs) == (shared, shared) else f"{sets}; only these are paired"
