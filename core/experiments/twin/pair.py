"""A twin run as two ordinary runs that know of each other: planned together, then queued or trained one by one.

Each run's folder holds its ``split.json`` before training begins, and ``twin.json``, which names the pair and the arm.
Stopping, resuming and watching work as for any run; what the pair found stands in the first run's ``twin-result.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.config import RunConfig, is_same_config
from core.dataset.split import Split
from core.dataset.table import build_table
from core.errors import HostedModeError, RunError
from core.experiments.twin.result import ARMS, Arm, TwinResult, compare_twins
from core.experiments.twin.split import JUDGED_SHARE, split_twins
from core.files import write_atomic
from core.jobs.queue import WAITING, ensure_worker, mark_queued
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder, list_runs, now, with_absolute_paths
from core.runs.records import DataSource, EpochRecord, RunStatus
from core.settings import Settings
from core.training.trainer import train

SUFFIXES: dict[Arm, str] = {"slice_split": "slice-split", "patient_split": "patient-split"}
UNITS: dict[Arm, str] = {"slice_split": "slice", "patient_split": "patient"}
MARK, RESULT = "twin.json", "twin-result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinPair:
    """Both arms of one twin run."""

    name: str
    runs: dict[Arm, RunFolder]
    siblings: int
    """Slices of judged patients in the training part of the arm by slice."""
    trained_on: int
    """Slices in training, in either arm."""

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
    """Prepare the slices, draw the two splits and make both runs, which then wait to be queued or trained.

    Parameters
    ----------
    settings, config, source
        Where, what, on which data; the configuration's split unit is not looked at. With a ``shuffle_seed`` in the
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
        The name is taken by something else.
    HostedModeError
        A visitor asks for more than the demo grants.
    """
    if settings.hosted and (config.epochs > settings.hosted_epochs or config.weights not in ("default", "none")):
        raise HostedModeError(
            f"This demo trains at most {settings.hosted_epochs} epochs, from weights 'default' or 'none'; choose fewer, or "
            "run MGMT Lab on a machine of your own."
        )
    name = name or f"{now()[:16].replace('-', '').replace('T', '-').replace(':', '')}-twin-{_next_number(settings)}"
    known = next((pair for pair in list_pairs(settings) if pair.name == name), None)
    if known is not None:
        _require_same(known, config, source)
        return known
    cohort = open_cohort(source, progress, settings)
    table = build_table(cohort, config.prep, settings, progress=progress)
    twins = split_twins(table, config.split, cohort.digest, judged_share)
    splits: dict[Arm, Split] = {"slice_split": twins.by_slice, "patient_split": twins.by_patient}
    told = {"pair": name, "siblings": twins.siblings, "trained_on": len(twins.by_patient.indices(table, "train"))}
    for arm in ARMS:
        run = RunFolder.create(
            settings, _config_of(config, arm), source, f"{name}-{SUFFIXES[arm]}", owner, state="stopped"
        )
        write_atomic(run.path / "split.json", splits[arm].to_json())
        write_atomic(run.path / MARK, json.dumps({**told, "arm": arm}))
    return find_pair(name, settings)


def queue_pair(pair: TwinPair, settings: Settings) -> None:
    """Put both arms into the queue, first the one by slice; an arm that has finished, waits or trains is left alone."""
    for arm in ARMS:
        if pair.runs[arm].status().state not in (*WAITING, "finished"):
            mark_queued(pair.runs[arm])
    ensure_worker(settings)


def train_pair(
    pair: TwinPair,
    settings: Settings,
    *,
    on_status: Callable[[RunStatus], None] = lambda status: None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> bool:
    """Train both arms in this process, from where they stand; False where one was stopped on request."""
    for arm in ARMS:
        run = pair.runs[arm]
        if run.status().state != "finished":
            train(run, settings, on_status=on_status, on_epoch=on_epoch)
            if run.status().state != "finished":
                return False
    return True


def judge_pair(pair: TwinPair, settings: Settings, progress: Progress = silent) -> TwinResult:
    """Compare the trained arms on their test slices and keep the result; each call is a look at the test patients.

    Raises
    ------
    RunError
        An arm is not trained yet.
    """
    if not pair.finished:
        raise RunError(f"{pair.name} is not trained yet; wait for both arms, or resume the one that stopped.")
    result = compare_twins(pair.runs, settings, siblings=pair.siblings, trained_on=pair.trained_on, progress=progress)
    write_atomic(pair.runs["slice_split"].path / RESULT, json.dumps(result.to_dict(), indent=1))
    return result


def read_result(pair: TwinPair) -> dict[str, Any] | None:
    """What :func:`judge_pair` found, as ``twin --json`` prints it, or None; this is no look."""
    try:
        content = json.loads((pair.runs["slice_split"].path / RESULT).read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def list_pairs(settings: Settings, owner: str | None = None) -> list[TwinPair]:
    """The pairs of which both runs are there, newest first."""
    found: dict[str, dict[Arm, tuple[RunFolder, dict[str, Any]]]] = {}
    for entry in list_runs(settings, owner):
        told = _read_mark(entry.run)
        if told is not None:
            found.setdefault(str(told["pair"]), {})[told["arm"]] = (entry.run, told)
    return [
        TwinPair(
            name=name,
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
        if run.source != data or not is_same_config(json.loads((run.path / "config.json").read_text()), asked):
            raise RunError(f"{pair.name} is a twin run of another configuration or other data; choose another name.")


def _read_mark(run: RunFolder) -> dict[str, Any] | None:
    try:
        told = json.loads((run.path / MARK).read_text())
        return told if told["arm"] in ARMS and {"pair", "siblings", "trained_on"} <= set(told) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _next_number(settings: Settings) -> int:
    return len(list_pairs(settings)) + 1
