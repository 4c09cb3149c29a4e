"""Optimism: the best epoch on the patients that chose it, against the same checkpoint on patients that chose nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import stdtrit

from core.config import RunConfig
from core.data.split import Split
from core.data.table import build_table
from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.experiments.inner_split import split_inside
from core.progress import Progress, silent
from core.settings import Settings
from core.training.judgement import judge_run
from core.training.material import open_cohort
from core.training.records import DataSource
from core.training.run import RunFolder
from core.training.stored import judge_validation

__all__ = ["OptimismParameters", "TrainMember", "compare_pairs", "measure_optimism"]

TrainMember = Callable[[str, RunConfig, Split], RunFolder]
"""Trains one member run (name, configuration, split) to its end, or returns it where it has finished before."""


class OptimismParameters(BaseModel):
    """How much is repeated."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

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

    def to_dict(self) -> dict[str, Any]:
        """As in the experiment's result."""
        return {
            "seed": self.seed,
            "run": self.run,
            "epoch": self.epoch,
            "validation": self.validation.to_dict(),
            "untouched": self.untouched.to_dict(),
        }


def measure_optimism(
    train_member: TrainMember,
    config: RunConfig,
    source: DataSource,
    parameters: OptimismParameters,
    settings: Settings,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train several times within the patients that training may use, and compare the two figures of each checkpoint.

    The run's own test patients stand in no part of it: nobody looks at them. Each repetition holds patients of its own
    out instead.

    Parameters
    ----------
    train_member
        See :data:`TrainMember`.
    config, source
        What is trained, on what.
    parameters, settings
        How often; where the cache lies.
    progress
        Called with trainings finished.

    Returns
    -------
    dict
        ``pairs``, ``optimism`` (validation less untouched, a figure over seeds) and ``sentence``.
    """
    cohort = open_cohort(source, silent, settings)
    table = build_table(cohort, config.prep, settings)
    pairs = []
    for number in range(parameters.seeds):
        progress(number, parameters.seeds, f"seed {number}")
        split = split_inside(table, config.split, cohort.digest, number)
        member = config.model_copy(
            update={
                "seed": config.seed + number,
                "split": config.split.model_copy(update={"split_unit": "patient", "split_seed": number}),
            }
        )
        run = train_member(f"seed-{number:02d}", member, split)
        untouched = judge_run(run, "test", settings)
        pairs.append(
            Pair(
                seed=number,
                run=run.name,
                epoch=untouched.epoch,
                validation=judge_validation(run).patient["auroc"],
                untouched=untouched.patient["auroc"],
            )
        )
    progress(parameters.seeds, parameters.seeds, "")
    return compare_pairs(pairs)


def compare_pairs(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Summarise the pairs: their mean gap with Student's interval over trainings.

    Raises
    ------
    EvaluationError
        Fewer than two trainings gave both figures.
    """
    values = np.array(
        [
            (pair.validation.value, pair.untouched.value)
            for pair in pairs
            if pair.validation.value is not None and pair.untouched.value is not None
        ]
    )
    if len(values) < 2:
        raise EvaluationError("Fewer than two trainings gave both figures; more patients of both classes are needed.")
    gaps = values[:, 0] - values[:, 1]
    half = float(stdtrit(len(gaps) - 1, 0.975) * gaps.std(ddof=1) / np.sqrt(len(gaps)))
    gap = Figure(
        value=float(gaps.mean()),
        low=max(float(gaps.mean() - half), -1.0),
        high=min(float(gaps.mean() + half), 1.0),
        n=len(gaps),
        method="Student's t over trainings, whose patients overlap: a little too narrow",
    )
    validation, untouched = values.mean(axis=0)
    sentence = (
        f"Over {len(gaps)} trainings the best epoch's AUROC by patient was {validation:.3f} on the patients that chose it "
        f"and {untouched:.3f} on patients that chose nothing: {gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}) by choice."
    )
    result: Mapping[str, Any] = {
        "sentence": sentence,
        "optimism": gap.to_dict(),
        "validation": float(validation),
        "untouched": float(untouched),
        "pairs": [pair.to_dict() for pair in pairs],
    }
    return dict(result)
