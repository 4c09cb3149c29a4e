"""A twin run: an experiment with two arms, which are ordinary runs, planned together, then queued or trained.

Each run's folder appears with its ``split.json`` and ``twin.json``, which names the pair and the arm. Stopping, resuming
and watching work as for any run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.config import RunConfig, is_same_config
from core.dataset.split import Split
from core.dataset.table import build_table
from core.errors import RunError
from core.experiments.twin.split import JUDGED_SHARE, split_twins
from core.files import read_document, remove_file
from core.jobs.experiment import Experiment, make_question
from core.jobs.member import Member, open_member
from core.jobs.queue import WAITING, ensure_worker, lock_queue, mark_queued
from core.jobs.quota import check_limits, check_quota
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder, list_runs, now, with_absolute_paths
from core.runs.records import DataSource
from core.settings import Settings

Arm = Literal["slice_split", "patient_split"]
ARMS: tuple[Arm, ...] = ("slice_split", "patient_split")
KIND = "twin_pair"
SUFFIXES: dict[Arm, str] = {"slice_split": "slice-split", "patient_split": "patient-split"}
UNITS: dict[Arm, str] = {"slice_split": "slice", "patient_split": "patient"}
MARK = "twin.json"
OLD_RESULT = "twin-result.json"
"""Where older versions kept the result: in the first run's folder."""


class TwinParameters(BaseModel):
    """How a twin run is split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judged_share: float = Field(default=JUDGED_SHARE, gt=0, lt=1)
    """Of each evaluated patient's slices; the rest are its siblings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinPair:
    """Both arms of one twin run."""

    experiment: Experiment
    runs: dict[Arm, RunFolder]
    siblings: int
    """Slices of evaluated patients in the training part of the arm by slice."""
    trained_on: int
    """Slices in training, in either arm."""

    @property
    def name(self) -> str:
        """The experiment's; the runs add their suffixes."""
        return self.experiment.name

    @property
    def finished(self) -> bool:
        """Whether both arms are trained."""
        return all(run.status().state == "finished" for run in self.runs.values())


def plan_pair(
    settings: Settings,
    config: RunConfig,
    source: DataSource,
    *,
    name: str | None = None,
    owner: str = "",
    judged_share: float = JUDGED_SHARE,
    progress: Progress = silent,
) -> TwinPair:
    """Prepare the slices, draw the two splits and make both runs, which can then be queued or trained.

    Parameters
    ----------
    settings, config, source
        Where, what, on which data; the configuration's split unit is ignored. With a ``shuffle_seed`` in the
        source the labels are shuffled by patient: the random-label control.
    name
        Of the pair; the runs add ``-slice-split`` and ``-patient-split``. A pair of that name that asks the same is
        returned as it stands.
    owner
        In hosted mode, the visitor.
    judged_share
        As in :func:`core.experiments.twin.split.split_twins`.
    progress
        Called while slices are prepared.

    Raises
    ------
    SplitError
        Too few patients for three parts.
    RunError
        The name is taken by another run.
    ConfigError
        The name is taken by another question.
    HostedModeError
        A visitor asks for more than the demo grants.
    """
    check_limits(settings, config)
    name = name or f"{now()[:16].replace('-', '').replace('T', '-').replace(':', '')}-twin-{_next_number(settings)}"
    known = next((pair for pair in list_pairs(settings) if pair.name == name), None)
    if known is None:
        check_quota(settings, owner, runs=len(ARMS))
    else:
        _require_same(known, config, source)
    runs = {arm: RunFolder(settings.runs / f"{name}-{SUFFIXES[arm]}") for arm in ARMS}
    if not any(run.path.exists() for run in runs.values()):
        # Of a pair of that name whose runs were deleted.
        remove_file(settings.experiments / name / "result.json")
    question = make_question(KIND, TwinParameters(judged_share=judged_share), config, source)
    experiment = Experiment.ask(settings, name, question, members=runs.values())
    if known is not None:
        return known
    cohort = open_cohort(source, progress, settings)
    table = build_table(cohort, config.prep, settings, progress=progress)
    twins = split_twins(table, config.split, cohort.digest, judged_share)
    splits: dict[Arm, Split] = {"slice_split": twins.by_slice, "patient_split": twins.by_patient}
    trained_on = len(twins.by_patient.indices(table, "train"))
    for arm in ARMS:
        mark = {"pair": name, "siblings": twins.siblings, "trained_on": trained_on, "arm": arm}
        member = Member(
            folder=runs[arm].path, config=_config_of(config, arm), source=source, split=splits[arm], owner=owner,
            files={MARK: json.dumps(mark)},
        )  # fmt: skip
        open_member(member, settings)
    return TwinPair(experiment=experiment, runs=runs, siblings=twins.siblings, trained_on=trained_on)


def queue_pair(pair: TwinPair, settings: Settings) -> None:
    """Put both arms into the queue, first the one by slice; an arm that has finished, waits or trains is left alone.

    Raises
    ------
    HostedModeError
        The visitor has as many runs waiting or in training as a demo grants.
    """
    with lock_queue(settings):
        stopped = [pair.runs[arm] for arm in ARMS if pair.runs[arm].status().state not in (*WAITING, "finished")]
        if stopped:
            check_quota(settings, stopped[0].status().owner, runs=len(stopped), kept=True)
        for run in stopped:
            mark_queued(run)
    ensure_worker(settings)


def read_result(pair: TwinPair) -> dict[str, Any] | None:
    """What :func:`core.experiments.twin.result.evaluate_pair` found, as ``twin --json`` prints it, or None."""
    return pair.experiment.result() or _read_json(pair.runs["slice_split"], OLD_RESULT)


def list_pairs(settings: Settings, owner: str | None = None) -> list[TwinPair]:
    """The pairs of which both runs are there, newest first."""
    found: dict[str, dict[Arm, tuple[RunFolder, dict[str, Any]]]] = {}
    for entry in list_runs(settings, owner):
        mark = _read_mark(entry.run)
        if mark is not None:
            found.setdefault(str(mark["pair"]), {})[mark["arm"]] = (entry.run, mark)
    return [
        TwinPair(
            experiment=Experiment(settings.experiments / name),
            runs={arm: arms[arm][0] for arm in ARMS},
            siblings=int(arms["slice_split"][1]["siblings"]),
            trained_on=int(arms["slice_split"][1]["trained_on"]),
        )
        for name, arms in found.items()
        if set(arms) == set(ARMS)
    ]


def find_pair(name: str, settings: Settings, owner: str | None = None) -> TwinPair:
    """Return the pair of a name.

    Raises
    ------
    RunError
        There is none, or it is not this owner's.
    """
    for pair in list_pairs(settings, owner):
        if pair.name == name:
            return pair
    raise RunError(f"There is no twin run {name!r}, or one of its two runs was deleted; start it anew.")


def _config_of(config: RunConfig, arm: Arm) -> RunConfig:
    return config.model_copy(update={"split": config.split.model_copy(update={"split_unit": UNITS[arm]})})


def _require_same(pair: TwinPair, config: RunConfig, source: DataSource) -> None:
    for arm, run in pair.runs.items():
        asked, data = with_absolute_paths(_config_of(config, arm), source)
        if run.source != data or not is_same_config(read_document(run.path / "config.json"), asked):
            raise RunError(f"{pair.name} is a twin run of another configuration or other data; choose another name.")


def _read_mark(run: RunFolder) -> dict[str, Any] | None:
    mark = _read_json(run, MARK) or {}
    return mark if {"pair", "siblings", "trained_on"} <= set(mark) and mark.get("arm") in ARMS else None


def _read_json(run: RunFolder, name: str) -> dict[str, Any] | None:
    try:
        content = read_document(run.path / name)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _next_number(settings: Settings) -> int:
    return len(list_pairs(settings)) + 1
