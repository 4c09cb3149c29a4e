"""What a run is trained on: its cohort, scanned and prepared, and who is in which part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import BaseModel

from core.config import RunConfig
from core.data.study import Cohort
from core.errors import DataError, SplitError
from core.files import write_atomic
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.records import DataSource
from core.settings import Settings
from core.training.distributed import World

if TYPE_CHECKING:
    from core.dataset.split import Split
    from core.dataset.table import SliceTable
    from core.runs.folder import RunFolder


class Task(BaseModel):
    """What the process that leads tells the others."""

    config: RunConfig
    source: DataSource
    threads: int
    """Of each process."""
    resumes: bool = False
    """Whether it goes on from a state, which has weights of its own: those it started from need not be at hand."""


def prepare_material(
    task: Task, settings: Settings, world: World, progress: Progress = silent
) -> tuple[Cohort, SliceTable]:
    """Scan and prepare the cohort in every process, the first of each machine before the others, and set the threads.

    Raises
    ------
    TrainingStopped
        `progress` raised it, in any process.
    DataError
        It cannot be read; RunError where another process says so.
    WeightsUnavailableError, ConfigError
        The weights to start from are not at hand.
    """
    import torch

    from core.dataset.table import build_table
    from core.models.weights import ensure_weights

    def prepare() -> tuple[Cohort, SliceTable]:
        cohort = open_cohort(task.source, progress, settings)
        # After the scan, which finds a wrong folder at once, and before the hours of preparing.
        if world.leads and not task.resumes:
            ensure_weights(task.config.architecture, task.config.weights)
        table = build_table(cohort, task.config.prep, settings, progress=progress)
        _check_that_data_are_there(cohort, table)
        return cohort, table

    torch.set_num_threads(task.threads)
    return world.machine_by_machine(prepare)


def _check_that_data_are_there(cohort: Cohort, table: SliceTable) -> None:
    """Where series could not be prepared because their files went away meanwhile, the rest is not the cohort any more."""
    gone = [series for series in cohort.series if not series.files[0].exists()] if table.faults else []
    if gone:
        raise DataError(
            f"The data went away while they were prepared: {gone[0].files[0]} is no longer there, nor are files of "
            f"{len(gone) - 1} more series. See that the drive or the share is connected, then resume the run; what was "
            "prepared is kept."
        )


def settle_split(run: RunFolder, cohort: Cohort, table: SliceTable, world: World) -> Split:
    """Take the run's split, or draw it and keep it in its folder, and give it to the other processes.

    Raises
    ------
    SplitError
        The cohort is no longer the one that was split, or it cannot be split.
    """
    from core.dataset.split import make_split

    def settle() -> str:
        if not (run.path / "split.json").exists():
            made = make_split(table, run.config.split, cohort.digest)
            write_atomic(run.path / "split.json", made.to_json())
        split = run.split()
        if split.cohort_digest != cohort.digest:
            raise SplitError(
                f"{cohort.root} is no longer what {run.name} was split on (digest {cohort.digest}, then "
                f"{split.cohort_digest}); restore the data, or start a new run."
            )
        return split.to_json()

    return _share_split(settle, table, world)


def receive_split(table: SliceTable, world: World) -> Split:
    """Take the split from the process that leads, as :func:`settle_split` there gives it.

    Raises
    ------
    DataError
        This process sees other data than the one that leads; RunError in all others.
    """
    return _share_split(lambda: "", table, world)


def _share_split(settle: Callable[[], str], table: SliceTable, world: World) -> Split:
    from core.dataset.split import Split

    split, expected = json.loads(world.alone(lambda: json.dumps([settle(), _digest(table)])))

    def compare() -> None:
        if _digest(table) != expected:
            raise DataError(
                f"Process {world.rank} sees other pictures than the one that leads; give every machine the same data "
                "under the same path."
            )

    world.together(compare)
    return Split.from_json(split)


def _digest(table: SliceTable) -> str:
    """Of which examples there are, and in which order."""
    return hashlib.sha256("\n".join(table.rows["key"]).encode()).hexdigest()
