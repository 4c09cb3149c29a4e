"""One training from its data to its last epoch: on rank 0, which has the run's folder, and on the others, which have none."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from functools import partial

import torch
from pydantic import BaseModel

from core.config import RunConfig
from core.data.clinical.participants import describe_flow
from core.data.study import Cohort
from core.dataset.masks import load_masks
from core.dataset.slice_table import SliceTable
from core.dataset.split import Split, make_split
from core.dataset.table import build_table
from core.errors import DataError, SplitError
from core.files import write_atomic
from core.inference.guard_fit import fit_run_limits
from core.models.registry import check_form, find_architecture
from core.models.weights import ensure_weights
from core.progress import Progress
from core.runs.cohort import check_content, open_cohort
from core.runs.epoch_figures import calibrate_checkpoint
from core.runs.folder import RunFolder
from core.runs.persons import FILE as PERSONS
from core.runs.persons import store_persons
from core.runs.records import DataSource, EpochRecord
from core.settings import Settings
from core.training import distributed
from core.training.environment import write_environment
from core.training.loop import fit
from core.training.state import StepReport
from core.training.torchrun import local_size


class Task(BaseModel):
    """What rank 0 tells the others."""

    config: RunConfig
    source: DataSource
    threads: int
    """Of each process."""
    resumes: bool
    """Whether a saved state is resumed, which has its own weights: those it started from need not be at hand."""


def train_session(
    run: RunFolder | None,
    settings: Settings,
    *,
    progress: Progress,
    stop: Callable[[], bool],
    on_step: Callable[[StepReport], None],
    on_prepared: Callable[[], None],
    log: logging.Logger,
) -> Iterator[EpochRecord]:
    """Load the data, settle the split and train; yield each epoch's record.

    Parameters
    ----------
    run
        The run to train; None in any process but rank 0.
    settings
        Where the cache lies, and how many threads may be used.
    progress
        Called while the data are prepared; may raise TrainingStopped.
    stop, on_step, log
        As in :func:`core.training.loop.fit`.
    on_prepared
        Called when the data are ready.

    Raises
    ------
    TrainingStopped
        `progress` raised it or `stop` said so, in any process.
    MGMTLabError
        What a person can put right.
    """
    task = _share_task(run, settings)
    torch.set_num_threads(task.threads)
    cohort, table = distributed.local_rank0_first(lambda: _load_training_data(task, settings, progress))
    log.info("%s: %d studies, %d labelled", cohort.root, len(cohort), len(cohort.labelled))
    for fault in table.faults:
        log.warning("left out: %s: %s", fault.path, fault.reason)
    split = _share_split(run, cohort, table, settings, progress)
    guard = fit_run_limits(table, split) if run is not None else None
    on_prepared()
    epochs = fit(
        task.config, table, split, run=run, synthetic=cohort.synthetic,
        load_masks=lambda rows: load_masks(cohort, table, rows, task.config.prep, settings),
        on_start=partial(write_environment, participants=describe_flow(cohort)), on_step=on_step, stop=stop, log=log,
    )  # fmt: skip
    for record in epochs:
        if run is not None:
            calibrate_checkpoint(run, guard)
        yield record
    if run is not None:  # Killed after its last epoch, it yields none.
        calibrate_checkpoint(run, guard)


def _share_task(run: RunFolder | None, settings: Settings) -> Task:
    """Describe the task on rank 0, refuse there what cannot be trained, and send it to the others."""

    def describe() -> str:
        assert run is not None
        config = run.config
        check_form(find_architecture(config.architecture), config.prep)
        threads = run.environment().get("threads") or max(1, settings.threads // local_size())
        task = Task(config=config, source=run.source, threads=threads, resumes=run.resume_file.exists())
        return task.model_dump_json()

    return Task.model_validate_json(distributed.on_rank0(describe))


def _load_training_data(task: Task, settings: Settings, progress: Progress) -> tuple[Cohort, SliceTable]:
    """Scan and prepare the cohort; check in between that the weights to start from are at hand."""
    cohort = open_cohort(task.source, progress, settings)
    # After the scan, which finds a wrong folder at once, and before the hours of preparing.
    if distributed.rank() == 0 and not task.resumes:
        ensure_weights(task.config.architecture, task.config.weights)
    table = build_table(cohort, task.config.prep, settings, progress=progress)
    _check_that_data_are_there(cohort, table)
    return cohort, table


def _check_that_data_are_there(cohort: Cohort, table: SliceTable) -> None:
    """Where series could not be prepared because their files went away meanwhile, the rest is not the cohort any more."""
    gone = [series for series in cohort.series if not series.files[0].exists()] if table.faults else []
    if gone:
        raise DataError(
            f"The data went away while they were prepared: {gone[0].files[0]} is no longer there, nor are files of "
            f"{len(gone) - 1} more series. See that the drive or the share is connected, then resume the run; what was "
            "prepared is kept."
        )


def _share_split(
    run: RunFolder | None, cohort: Cohort, table: SliceTable, settings: Settings, progress: Progress
) -> Split:
    """Take the run's split, or draw it and keep it, with the marks of its patients, in the run's folder; give it to all processes.

    Raises
    ------
    SplitError
        The cohort is no longer the one that was split, or it cannot be split.
    DataError
        A process sees other data than rank 0; RunError in all others.
    """

    def settle() -> str:
        assert run is not None
        if not (run.path / "split.json").exists():
            made = make_split(table, run.config.split, cohort.digest)
            write_atomic(run.path / "split.json", made.to_json())
        split = run.split()
        if split.cohort_digest != cohort.digest:
            raise SplitError(
                f"{cohort.root} is no longer what {run.name} was split on (digest {cohort.digest}, then "
                f"{split.cohort_digest}); restore the data, or start a new run."
            )
        check_content(run, table.content_digest)
        if not (run.path / PERSONS).exists():
            store_persons(run, cohort, split, settings, progress)
        return json.dumps([split.to_json(), _digest(table)])

    def compare() -> None:
        if _digest(table) != expected:
            raise DataError(
                f"Process {distributed.rank()} sees other images than the one that leads; give every machine the same "
                "data under the same path."
            )

    text, expected = json.loads(distributed.on_rank0(settle))
    distributed.on_all_ranks(compare)
    return Split.from_json(text)


def _digest(table: SliceTable) -> str:
    """SHA-256 over the examples in their order."""
    return hashlib.sha256("\n".join(table.rows["key"]).encode()).hexdigest()
