"""Leave one cohort (or site) out: train on all others, evaluate on the one, and all of them as one question."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from core.config import SplitConfig
from core.data.study import Cohort
from core.dataset.folds import split_outside
from core.dataset.slice_table import SliceTable
from core.dataset.split import Split, make_split
from core.dataset.table import build_table
from core.experiments.external.groups import Groups, group_persons
from core.experiments.external.judged import describe_pool, judge_cohort, pool_cohorts
from core.experiments.external.overlap import drop_repeated, read_ties
from core.experiments.external.parameters import LeaveOutParameters, cohort_names
from core.jobs.experiment import Display, Experiment, Question, RunOptions
from core.jobs.member import Member, train_members
from core.progress import Progress
from core.runs.cohort import open_cohort
from core.runs.evaluation import Evaluation, read_evaluation
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from core.training.evaluate import evaluate_run

LEFT_OUT = (
    "Each is evaluated by a network of its own that never saw it, but the networks share most of their training patients; the "
    "interval of the mean says what other places would change, not what another seed would."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember(Member):
    """One training, and which group it leaves out, or is trained on alone."""

    group: str
    alone: bool


def leave_one_out(
    experiment: Experiment, question: Question, options: RunOptions, settings: Settings, display: Display
) -> dict[str, Any]:
    """Train what is missing, evaluate each group once by the network that never saw it, and put all together.

    Returns
    -------
    dict
        ``sentence``; ``by``; ``cohorts``, each as :func:`core.experiments.external.judged.judge_cohort` with ``run``,
        ``epoch``, ``trained_on`` (persons) and ``overlap``; ``mean``, ``prediction_interval``, ``tau_squared``,
        ``i_squared``; ``matrix``, each with ``trained_on``, ``tested_on``, ``auroc`` and ``kind`` ("left out", "own test
        patients", "other"); ``only_train``, groups that are too small to be judged; ``left_out``, what the interval does
        not say.

    Raises
    ------
    SplitError
        Too few groups, or too few persons in one.
    OverlapError
        Persons of two cohorts may be one, and nobody has said whether they are.
    LabelError
        The cohorts' classes mean something else.
    """
    parameters = LeaveOutParameters(**question.parameters)
    preparing = display.progress("preparing")
    source, overlaps = settle_source(question.source, parameters, settings, display.progress("comparing persons"))
    cohort = open_cohort(source, preparing, settings)
    groups = group_persons(cohort, parameters.by)
    table = build_table(cohort, question.config.prep, settings, progress=preparing)
    members = plan_members(experiment, question, source, table, cohort.digest, groups, parameters)
    for _ in train_members(members, settings, jobs=options.parallel, progress=display.progress("epochs")):
        pass
    torch.set_num_threads(settings.threads)
    judged, matrix = _judge(experiment, members, cohort, groups, settings, display.progress("evaluating"))
    for one in judged:
        one["overlap"] = overlaps.get(one["name"])
    pooled = pool_cohorts(judged)
    return {
        "by": parameters.by,
        "sentence": describe_pool(pooled, len(judged), f"{parameters.by}s"),
        "cohorts": judged,
        **pooled.to_dict(),
        "matrix": matrix,
        "only_train": {name: len(persons) for name, persons in groups.only_train.items()},
        "in_several": list(groups.moved),
        "class_names": list(cohort.class_names),
        "positive_class": cohort.positive_class,
        "synthetic": cohort.synthetic,
        "trainings": len(members),
        "left_out": LEFT_OUT,
    }


def settle_source(
    source: DataSource, parameters: LeaveOutParameters, settings: Settings, progress: Progress
) -> tuple[DataSource, dict[str, dict[str, Any]]]:
    """Return the joined source with everybody in one cohort only, and by cohort who was left out of it.

    Raises
    ------
    OverlapError
        As :func:`core.experiments.external.overlap.drop_repeated`.
    """
    if not source.joined:
        return source, {}
    sources = (source.model_copy(update={"joined": ()}), *source.joined)
    names = cohort_names(sources)
    cohorts = {name: open_cohort(one, settings=settings) for name, one in zip(names, sources, strict=True)}
    ties = read_ties(parameters.crosswalk, parameters.pairs)
    overlaps = {name: overlap for name, (_, overlap) in drop_repeated(cohorts, ties, settings, progress).items()}
    settled = [
        one.model_copy(update={"leave_out": tuple(sorted(person["person"] for person in overlaps[name]["persons"]))})
        for name, one in zip(names, sources, strict=True)
    ]
    return settled[0].model_copy(update={"joined": tuple(settled[1:])}), overlaps


def plan_members(
    experiment: Experiment,
    question: Question,
    source: DataSource,
    table: SliceTable,
    digest: str,
    groups: Groups,
    parameters: LeaveOutParameters,
) -> list[GroupMember]:
    """List every training with its split; the same whenever it is asked."""
    config = question.config
    members = []
    for number, (name, persons) in enumerate(groups.judged.items()):
        # A draw of its own, so that the validation patients of one training say nothing of another's.
        seed = int(np.random.SeedSequence([config.split.split_seed, number]).generate_state(1)[0])
        (split,) = split_outside(table, persons, config.split, digest, seed)
        # Numbered, because two names may be one as folders.
        folder_name = f"{number + 1:02d}-{_slug(name)}"
        plans = [(f"without-{folder_name}", split, False)]
        if parameters.matrix:
            plans.append((f"only-{folder_name}", _split_within(table, persons, config.split, digest, seed), True))
        for folder, drawn, alone in plans:
            members.append(
                GroupMember(
                    folder=experiment.runs / folder, source=source, stop_file=experiment.stop_file, config=config,
                    split=drawn, group=name, alone=alone,
                )
            )  # fmt: skip
    return members


def _split_within(table: SliceTable, persons: tuple[str, ...], config: SplitConfig, digest: str, seed: int) -> Split:
    rows = table.rows[table.rows["person"].isin(persons)].assign(phase="").reset_index(drop=True)
    by_patient = config.model_copy(update={"split_unit": "patient", "split_seed": seed})
    return make_split(replace(table, rows=rows), by_patient, digest)


def _judge(
    experiment: Experiment,
    members: list[GroupMember],
    cohort: Cohort,
    groups: Groups,
    settings: Settings,
    progress: Progress,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Evaluate every member; what was evaluated before is read. Return the left-out groups, and the matrix."""
    judged: list[dict[str, Any]] = []
    matrix: list[dict[str, Any]] = []
    for done, member in enumerate(members, start=1):
        progress(done, len(members), member.run.name)
        if member.alone:
            matrix += _judge_alone(member, cohort, groups, settings)
            continue
        evaluation = _evaluate_test(member.run, experiment.name, settings)
        split = member.run.split()
        found = judge_cohort(member.group, evaluation)
        found |= {
            "run": member.run.name,
            "epoch": evaluation.epoch,
            "trained_on": len(split.train) + len(split.val),
        }
        judged.append(found)
        matrix.append(_cell("all others", member.group, found["auroc"], "left out"))
    return judged, sorted(matrix, key=lambda cell: cell["kind"] != "left out")


def _judge_alone(member: GroupMember, cohort: Cohort, groups: Groups, settings: Settings) -> list[dict[str, Any]]:
    """One row of the matrix: trained on a group alone, evaluated on its own test patients and on every other group."""
    cells = []
    if member.run.split().test:
        own = _evaluate_test(member.run, "", settings)
        cells.append(_cell(member.group, member.group, own.patient["auroc"].to_dict(), "own test patients"))
    for name, persons in groups.judged.items():
        if name != member.group:
            other = restrict_cohort(cohort, persons)
            found = read_evaluation(member.run, "data", other.digest) or evaluate_run(
                member.run, "test", settings, other=other
            )
            cells.append(_cell(member.group, name, found.patient["auroc"].to_dict(), "other"))
    return cells


def restrict_cohort(cohort: Cohort, persons: tuple[str, ...]) -> Cohort:
    """Return the cohort with some persons only."""
    wanted = frozenset(persons)
    return replace(cohort, studies=tuple(study for study in cohort if study.person in wanted), excluded=())


def _evaluate_test(run: RunFolder, partition: str, settings: Settings) -> Evaluation:
    return read_evaluation(run, "test") or evaluate_run(run, "test", settings, partition=partition)


def _cell(trained_on: str, tested_on: str, auroc: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"trained_on": trained_on, "tested_on": tested_on, "auroc": dict(auroc), "kind": kind}


def _slug(name: str) -> str:
    """A cohort's name as part of a folder's; what folders cannot be called becomes a dash."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60]
