"""Optimism: the best epoch on the patients that chose it, against the same checkpoint on patients that chose nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import stdtrit

from core.errors import EvaluationError
from core.evaluation.figure import ESTIMANDS, Figure
from core.evaluation.unpaired import mean_under_dependence, unpaired_difference
from core.figure_text import value_text
from core.runs.epoch_figures import best_validation_auroc
from core.runs.evaluation import read_evaluation
from core.runs.folder import RunFolder

KIND = "optimism"


class OptimismParameters(BaseModel):
    """How much is repeated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: int = Field(default=5, ge=2, le=100)
    """Trainings, each with a partition, initial weights and batch order of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One training: AUROC by patient where the epoch was chosen, and where nothing was."""

    seed: int
    run: str
    epoch: int
    validation: Figure
    untouched: Figure

    @property
    def gap(self) -> Figure:
        """Validation less untouched: two groups of patients, which differ by chance, too."""
        return unpaired_difference(self.validation, self.untouched)

    @property
    def complete(self) -> bool:
        """Whether both figures have a value."""
        return self.gap.value is not None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Pair:
        """From :meth:`to_dict`'s content."""
        figures = {name: Figure(**content[name]) for name in ("validation", "untouched")}
        return cls(seed=content["seed"], run=content["run"], epoch=content["epoch"], **figures)

    def to_dict(self) -> dict[str, Any]:
        """As in the experiment's result."""
        return {
            "seed": self.seed,
            "run": self.run,
            "epoch": self.epoch,
            "validation": self.validation.to_dict(),
            "untouched": self.untouched.to_dict(),
        }


def compare_pairs(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Summarise the pairs: the means of both figures and of their gap.

    The interval of the untouched patients' figure is over patients (:func:`mean_under_dependence`): Student's over trainings,
    whose patients overlap, would hold the truth 3 times in 4. The other two say how far trainings differ, no more.

    Raises
    ------
    EvaluationError
        Fewer than two trainings gave both figures.
    """
    complete = [pair for pair in pairs if pair.complete]
    if len(complete) < 2:
        raise EvaluationError("Fewer than two trainings gave both figures; more patients of both classes are needed.")
    validation = _over_trainings([pair.validation for pair in complete], least=0.0)
    untouched = _untouched([pair.untouched for pair in complete])
    gap = _over_trainings([pair.gap for pair in complete], least=-1.0)
    sentence = (
        f"Over {gap.n} trainings the best epoch's AUROC by patient was {value_text(validation)} on the patients that chose it "
        f"and {value_text(untouched)} on patients that chose nothing: {value_text(gap, signed=True)} by choice."
    )
    return {
        "sentence": sentence,
        "estimand": ESTIMANDS["trainings"],
        "optimism": gap.to_dict(),
        "validation": validation.to_dict(),
        "untouched": untouched.to_dict(),
        "pairs": [pair.to_dict() for pair in pairs],
    }


def read_own_pair(run: RunFolder) -> Pair | None:
    """Return both figures of a run that was evaluated on its test patients; None where they do not belong here.

    That is before the evaluation, with a class missing, in a split by slice, and with shuffled labels: a control, not a result.

    Raises
    ------
    MGMTLabError
        The checkpoint or a stored evaluation is damaged.
    """
    test = read_evaluation(run, "test")
    if test is None or test.leaky or run.source.shuffle_seed is not None:
        return None
    pair = Pair(
        seed=run.config.seed,
        run=run.name,
        epoch=test.epoch,
        validation=best_validation_auroc(run),
        untouched=test.patient["auroc"],
    )
    return pair if pair.complete else None


def _untouched(figures: Sequence[Figure]) -> Figure:
    """The mean, each training's own interval over patients given; over trainings where one has none."""
    if any(figure.low is None for figure in figures):
        return _over_trainings(figures, least=0.0)
    return mean_under_dependence(figures)


def _over_trainings(figures: Sequence[Figure], *, least: float) -> Figure:
    """The mean with Student's interval, inside `least` and 1."""
    values = np.array([figure.value for figure in figures], dtype=np.float64)
    mean = float(values.mean())
    half = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values)))
    return Figure(
        value=mean,
        low=max(mean - half, least),
        high=min(mean + half, 1.0),
        n=len(values),
        method="Student's t over trainings: how far these differ; their patients overlap, so that it is too narrow for others",
    )
