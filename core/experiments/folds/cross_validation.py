"""Cross-validation by patient, nested: whatever chooses, chooses inside; each fold evaluates once what was chosen without it.

For every fold of every repeat the patients outside the fold are split once more into training and inner validation. The
inner validation chooses each network's epoch, threshold and temperature and, where there are several candidate
configurations, the candidate: the winner alone is evaluated on the fold. So no patient that evaluates has chosen anything,
which is why the nested form is the one to report when anything was tuned. With a single candidate nothing is selected but
the epoch, and the figure is that configuration's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.config import RunConfig
from core.dataset.folds import make_folds, split_outside
from core.dataset.slice_table import SliceTable
from core.dataset.table import build_table
from core.experiments.folds.candidates import CrossValidationParameters, list_candidates
from core.experiments.folds.result import evaluate_winners, summarise_folds
from core.jobs.experiment import Display, Experiment, Question, RunOptions
from core.jobs.member import Member, train_members
from core.runs.cohort import open_cohort
from core.settings import Settings


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
    experiment: Experiment, question: Question, options: RunOptions, settings: Settings, display: Display
) -> dict[str, Any]:
    """Train all members, choose inside, evaluate each fold once, and write the ensemble of those that were chosen.

    The configuration's split gives val_fraction and the first seed; folders named TRAIN, VAL and TEST are ignored.

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
        It was stopped.
    """
    parameters = CrossValidationParameters(**question.parameters)
    candidates = list_candidates(question.config, parameters)
    preparing = display.progress("preparing")
    cohort = open_cohort(question.source, preparing, settings)
    # Every candidate's images are prepared before trainings at the same time would prepare them several times over.
    tables = [build_table(cohort, prep, settings, progress=preparing) for prep in _distinct_preps(candidates)]
    members = plan_members(experiment, question, tables[0], cohort.digest, candidates, parameters)
    for _ in train_members(members, settings, jobs=options.parallel, progress=display.progress("epochs")):
        pass
    evaluated = evaluate_winners(experiment.name, members, settings, jobs=options.parallel)
    return summarise_folds(experiment.folder, members, evaluated, [choices for choices, _ in candidates], cohort)


def plan_members(
    experiment: Experiment,
    question: Question,
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
                    name = _name(repeat, number, choice, part, len(candidates), parameters.inner_folds)
                    members.append(
                        FoldMember(
                            folder=experiment.runs / name, source=question.source, stop_file=experiment.stop_file,
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
