"""Conformal prediction sets: sets of classes that hold the true one with a promised coverage.

Split conformal prediction, class by class (Mondrian): a class is in the set of a patient whose probability of it is not
lower than that of most calibration patients of the class. The coverage holds for any model, and for each class by itself;
a poor model needs sets that hold every class. So the size of the sets matters as much as their coverage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtr, ndtri

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.influence import mean_interval
from core.evaluation.intervals import share_figure
from core.evaluation.selection import withhold_interval

Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformalRule:
    """The limits that decide which classes a set holds."""

    level: float
    """Promised coverage of each class, for example 0.9."""
    limits: tuple[float | None, ...]
    """Per class, the smallest probability with which it still belongs to a set; None where it always does, because
    the class has too few patients for the level."""
    counts: tuple[int, ...]
    """Calibration patients per class."""

    def to_dict(self) -> dict[str, Any]:
        """As a checkpoint's card keeps it."""
        return {"level": self.level, "limits": list(self.limits), "counts": list(self.counts)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ConformalRule:
        """Read it from a card."""
        return cls(level=content["level"], limits=tuple(content["limits"]), counts=tuple(content["counts"]))

    def coverage_ranges(self) -> list[tuple[float, float] | None]:
        """Return per class between what this rule's own coverage lies, 19 times of 20; None where the class is always named.

        The level is what rules cover on average. Where the calibration patients chose nothing, the coverage of one rule is
        exactly Beta(n + 1 - k, k), for the k-th smallest of n probabilities (Vovk 2012, "Conditional validity of inductive
        conformal predictors").
        """
        ranks = [_rank(count, self.level) for count in self.counts]
        return [
            (float(betaincinv(count + 1 - rank, rank, 0.025)), float(betaincinv(count + 1 - rank, rank, 0.975)))
            if rank
            else None
            for count, rank in zip(self.counts, ranks, strict=True)
        ]

    def describe_promises(self, *, exact: bool) -> list[str]:
        """Return per class what is promised, in words; the range is `exact` of patients who were used for nothing else."""
        promises = []
        for count, ends in zip(self.counts, self.coverage_ranges(), strict=True):
            if ends is None:
                promises.append(
                    f"no promise: {count} calibration patients are too few for {self.level:.0%}, so the class is always named"
                )
            elif exact:
                rank = _rank(count, self.level)
                promises.append(
                    f"covers {ends[0]:.3f} to {ends[1]:.3f} of them (Beta({count + 1 - rank}, {rank}), from {count} calibration "
                    "patients)"
                )
            else:
                promises.append(
                    f"covers about {self.level:.0%} of them on average; no range is promised, for the {count} calibration "
                    "patients had a part in choosing the epoch"
                )
        return promises


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFigures:
    """Coverage and size of sets of patients whose class is known."""

    coverage: tuple[Figure, ...]
    """Per class: share of its patients whose set holds it."""
    mean_size: Figure
    """Classes in a set, on average."""
    told: Figure
    """Share of the patients with exactly one class in the set."""
    right_when_told: Figure
    """Share of those for whom that class is the true one."""
    undecided: Figure
    """Share of the others, whose set holds several classes, or none."""
    both: int
    """Patients whose set holds every class."""
    empty: int
    """Patients whose set holds none: unlike all calibration patients."""


def refused_share(held_out: int, below: int) -> tuple[float, float, float]:
    """Return the share of new values above the `below`-th smallest of `held_out` ones: expected, and where it lies with 95% chance.

    It is Beta(held_out + 1 - below, below) distributed, if new values come as the held-out ones did.
    """
    above = held_out + 1 - below
    low, high = betaincinv(above, below, (0.025, 0.975))
    return above / (held_out + 1), float(low), float(high)


def fit_conformal(labels: ArrayLike, probabilities: ArrayLike, level: float = 0.9) -> ConformalRule:
    """Calibrate sets on patients that the network was not trained on.

    Parameters
    ----------
    labels
        Array of shape (patients,), class indices.
    probabilities
        Array of shape (patients, classes).
    level
        Coverage to promise for each class, between 0.5 and 1.

    Raises
    ------
    EvaluationError
        The level is not between 0.5 and 1.

    Notes
    -----
    With k patients of a class, its limit is the ``floor((k + 1) (1 - level))``-th smallest of their own probabilities.
    Vovk, Gammerman and Shafer 2005 (Mondrian conformal predictors); Sadinle, Lei and Wasserman 2019 (smallest sets).
    """
    _check_level(level)
    truth = np.asarray(labels, dtype=np.int64)
    chance = np.asarray(probabilities, dtype=np.float64)
    limits: list[float | None] = []
    counts = []
    for index in range(chance.shape[1]):
        own = np.sort(chance[truth == index, index])
        rank = _rank(len(own), level)
        limits.append(float(own[rank - 1]) if rank >= 1 else None)
        counts.append(len(own))
    return ConformalRule(level=level, limits=tuple(limits), counts=tuple(counts))


def predict_sets(rule: ConformalRule, probabilities: ArrayLike) -> Booleans:
    """Return which classes each patient's set holds: (patients, classes) -> (patients, classes)."""
    limits = np.array([-np.inf if limit is None else limit for limit in rule.limits])
    return np.asarray(probabilities, dtype=np.float64) >= limits


def sets_left_out(labels: ArrayLike, probabilities: ArrayLike, level: float = 0.9) -> Booleans:
    """Return each patient's set, calibrated on all other patients.

    The parameters are those of :func:`fit_conformal`; the answer has the shape of `probabilities`.
    """
    _check_level(level)
    truth = np.asarray(labels, dtype=np.int64)
    chance = np.asarray(probabilities, dtype=np.float64)
    sets = np.zeros(chance.shape, dtype=bool)
    for index in range(chance.shape[1]):
        of_class = truth == index
        own = np.sort(chance[of_class, index])
        # A member of the class is taken out of the sorted list before it is compared with it.
        for member in (False, True):
            rows = of_class == member
            count = len(own) - member
            rank = _rank(count, level)
            if rank < 1:
                sets[rows, index] = True
                continue
            values = chance[rows, index]
            position = np.searchsorted(own, values, "left")
            shifted = member & (position <= rank - 1)
            sets[rows, index] = values >= own[rank - 1 + shifted.astype(np.int64)]
    return sets


def evaluate_sets(
    labels: ArrayLike, sets: Booleans, class_names: Sequence[str], *, selected: bool = False
) -> SetFigures:
    """Return coverage and size of sets (patients, classes), per class and overall; no intervals of `selected` patients."""
    truth = np.asarray(labels, dtype=np.int64)
    size = sets.sum(axis=1)
    held = sets[np.arange(len(truth)), truth]
    single = size == 1
    found = SetFigures(
        coverage=tuple(share_figure(held[truth == index], f"none is {name}") for index, name in enumerate(class_names)),
        mean_size=_mean_size(size, truth),
        told=share_figure(single, "there are no patients"),
        right_when_told=share_figure(held[single], "no set holds exactly one class"),
        undecided=share_figure(~single, "there are no patients"),
        both=int((size == sets.shape[1]).sum()),
        empty=int((size == 0).sum()),
    )
    if not selected:
        return found
    return replace(
        found,
        coverage=tuple(withhold_interval(one) for one in found.coverage),
        mean_size=withhold_interval(found.mean_size),
        told=withhold_interval(found.told),
        right_when_told=withhold_interval(found.right_when_told),
        undecided=withhold_interval(found.undecided),
    )


def _mean_size(size: NDArray[np.int64], truth: NDArray[np.int64]) -> Figure:
    try:
        value, low, high = mean_interval(size, truth)
    except EvaluationError as error:
        return Figure(value=float(size.mean()), low=None, high=None, n=len(size), reason=str(error))
    return Figure(value=value, low=low, high=high, n=len(size), method="influence function, skewness corrected")


def ideal_set_size(auroc: float, level: float = 0.9) -> float:
    """Return the mean size of the smallest sets that keep the promise for both classes at a given AUROC.

    For two normal distributions of scores (the binormal model) and infinitely many calibration patients:
    ``level + Phi(z_level - d)`` with ``d = sqrt(2) Phi^-1(AUROC)``. At 0.5 that is twice the level: a model
    that knows nothing keeps its promise by naming both classes most of the time.
    """
    distance = np.sqrt(2) * ndtri(min(max(auroc, 1e-6), 1 - 1e-6))
    return float(level + ndtr(ndtri(level) - distance))


def _rank(count: int, level: float) -> int:
    """Of the limit among a class's own probabilities, 1 is the smallest; 0 where the patients are too few."""
    return int(np.floor((count + 1) * (1 - level) + 1e-9))


def _check_level(level: float) -> None:
    if not 0.5 <= level < 1:
        raise EvaluationError(f"A level of {level:g} cannot be promised; give one between 0.5 and 1, such as 0.9.")
