"""Cross-validation by patient, nested: whatever chooses, chooses inside; each fold judges once what was chosen without it.

For every fold of every repeat the patients outside the fold are split once more into training and inner validation. The
inner validation chooses each network's epoch, threshold and temperature and, where there are several candidate
configurations, the candidate: the winner alone is judged on the fold. So nothing that was judged has chosen anything,
which is why the nested form is the one to report when anything was tuned. With a single candidate nothing is selected but
the epoch, and the figure is that configuration's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from core.config import RunConfig
from core.dataset.folds import make_folds, split_outside
from core.dataset.slice_table import SliceTable
from core.dataset.table import build_table
from core.errors import ConfigError
from core.experiments.controls.specification import SpecificationParameters, list_cells
from core.experiments.folds.result import evaluate_winners, summarise_folds
from core.jobs.members import Member, train_members
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.records import DataSource
from core.settings import Settings

KIND = "cross_validation"
MOST_MEMBERS = 2000


class CrossValidationParameters(BaseModel):
    """How the patients are dealt out, how often, and what is compared."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    folds: int = Field(default=5, ge=2, le=100)
    """Parts of the patients; each is judged once in a repeat."""
    seeds: int = Field(default=1, ge=1, le=100)
    """Repeats, each with partitions, initial weights and batch order of its own."""
    inner_folds: int = Field(default=1, ge=1, le=20)
    """Within the patients outside a fold: 1 holds a share of them out (val_fraction), more compares candidates over so many inner folds."""
    vary: dict[str, list[str]] = Field(default={})
    """Settings with the values to try, as --set takes them; every combination is a candidate. Empty: one configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldMember(Member):
    """One training, and where it belongs."""

    seed: int
    """Number of the repeat: 0 is the first."""
    fold: int
    """1 is the first; so for the candidate and the inner fold."""
    candidate: int
    inner: int


def cross_validate(
    folder: Path,
    config: RunConfig,
    source: DataSource,
    parameters: CrossValidationParameters,
    settings: Settings,
    *,
    jobs: int = 1,
    progress: Progress = silent,
    preparing: Progress = silent,
) -> dict[str, Any]:
    """Train all members, choose inside, judge each fold once, and write the ensemble of those that were judged.

    Parameters
    ----------
    folder
        The experiment's folder; what is in it already is kept and gone on with.
    config, source
        What is trained, on what. Its split gives val_fraction and the first seed; folders named TRAIN, VAL and TEST are
        not looked at.
    parameters, settings
        How; where the cache and the ledger of looks lie.
    jobs
        Trainings at the same time.
    progress
        Called with epochs finished, of all trainings together.
    preparing
        Called with series prepared.

    Returns
    -------
    dict
        See :func:`core.experiments.folds.result.summarise_folds`.

    Raises
    ------
    SplitError
        Too few patients for so many folds.
    ConfigError
        A setting to vary does not exist, or is the split.
    KeyboardInterrupt
        It was asked to stop.
    """
    candidates = list_candidates(config, parameters)
    cohort = open_cohort(source, preparing, settings)
    # Every candidate's images are prepared before trainings at the same time would prepare them several times over.
    tables = [build_table(cohort, prep, settings, progress=preparing) for prep in _distinct_preps(candidates)]
    members = plan_members(tables[0], cohort.digest, candidates, parameters)
    train_members(folder, members, settings, source, jobs=jobs, progress=progress)
    answers = evaluate_winners(folder, members, settings, jobs=jobs)
    return summarise_folds(folder, members, answers, [choices for choices, _ in candidates], cohort)


def list_candidates(config: RunConfig, parameters: CrossValidationParameters) -> list[tuple[dict[str, str], RunConfig]]:
    """Return each candidate's choices and configuration, the first value of each setting first.

    Raises
    ------
    ConfigError
        A setting or value does not exist, a value stands twice, the split is varied, or there are too many trainings.
    """
    by_patient = config.model_copy(update={"split": config.split.model_copy(update={"split_unit": "patient"})})
    if not parameters.vary:
        return [({}, by_patient)]
    candidates = list_cells(by_patient, SpecificationParameters(vary=parameters.vary))
    total = len(candidates) * parameters.folds * parameters.seeds * parameters.inner_folds
    if total > MOST_MEMBERS:
        raise ConfigError(
            f"These are {total} trainings; {MOST_MEMBERS} at most: vary less, or choose fewer folds or seeds."
        )
    return candidates


def count_members(parameters: CrossValidationParameters) -> int:
    """How many trainings it takes."""
    candidates = int(np.prod([len(values) for values in parameters.vary.values()], initial=1))
    return candidates * parameters.folds * parameters.seeds * parameters.inner_folds


def plan_members(
    table: SliceTable,
    cohort_digest: str,
    candidates: list[tuple[dict[str, str], RunConfig]],
    parameters: CrossValidationParameters,
) -> list[FoldMember]:
    """List every training with its split; the same whenever it is asked, and in whatever order the table's rows are.

    All candidates of a fold see the same inner splits, so that they are compared on the same patients.

    Raises
    ------
    SplitError
        Too few patients for so many folds.
    """
    first = candidates[0][1]
    members = []
    for repeat in range(parameters.seeds):
        seed = first.split.split_seed + repeat
        for number, fold in enumerate(make_folds(table, parameters.folds, seed), start=1):
            # An inner draw of its own, so that it does not repeat the order in which the fold was dealt.
            inner_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            inner = split_outside(table, fold, first.split, cohort_digest, inner_seed, parameters.inner_folds)
            for choice, (_, config) in enumerate(candidates, start=1):
                split_config = config.split.model_copy(update={"split_seed": seed})
                for part, split in enumerate(inner, start=1):
                    members.append(
                        FoldMember(
                            name=_name(repeat, number, choice, part, len(candidates), parameters.inner_folds),
                            config=config.model_copy(update={"seed": config.seed + repeat, "split": split_config}),
                            split=split, seed=repeat, fold=number, candidate=choice, inner=part,
                        )
                    )  # fmt: skip
    return members


def _name(seed: int, fold: int, candidate: int, inner: int, candidates: int, inner_folds: int) -> str:
    name = f"seed-{seed:02d}-fold-{fold:02d}"
    if candidates > 1:
        name += f"-candidate-{candidate:02d}"
    return f"{name}-inner-{inner:02d}" if inner_folds > 1 else name


def _distinct_preps(candidates: list[tuple[dict[str, str], RunConfig]]) -> list[Any]:
    preps = []
    for _, config in candidates:
        if config.prep not in preps:
            preps.append(config.prep)
    return preps
