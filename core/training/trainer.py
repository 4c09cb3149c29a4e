"""The process that trains one run: ``python -m core.training.trainer RUN_DIR``; the same code serves the foreground.

It holds the run's lock while it lives, tells how far it is through status.json, stops at a batch boundary on the
stop file, SIGTERM or SIGINT, and leaves the run in a state that says what happened. Under torchrun it is process 0;
the others are :mod:`core.training.follower`.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import RunConfig
from core.errors import MGMTLabError, RunError, StorageError
from core.files import write_atomic
from core.runs.folder import RunFolder, now
from core.runs.records import DataSource, EpochRecord, RunStatus
from core.runs.warning_signs import read_warning_signs
from core.settings import Settings, load_settings
from core.training.data import Task, prepare_material, settle_split
from core.training.distributed import World, join_world
from core.training.job import StepReport, TrainingStopped
from core.training.loop import fit
from core.training.memory import peak_memory
from core.training.signals import stop_signals
from core.training.tensorboard import check_tensorboard, follow_events
from core.training.torchrun import check_launcher, resume_command

if TYPE_CHECKING:
    from core.dataset.split import Split


STATUS_SECONDS = 0.5
NICENESS = 10
LOCK_SECONDS = 10.0
RESERVE_BYTES = 64 * 1024
"""Kept on the disk while a run trains, and given up for its last word where the disk is full."""


def run_training(
    settings: Settings,
    config: RunConfig,
    source: DataSource,
    run_dir: Path | None = None,
    *,
    name: str | None = None,
    note: str = "",
    split: Split | None = None,
    tensorboard: bool = False,
    on_status: Callable[[RunStatus], None] = lambda status: None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> RunFolder:
    """Make a run and train it in this process, to its end.

    Parameters
    ----------
    settings, config, source
        Where, what, on which data.
    run_dir
        The run's folder; by default a new one below ``settings.runs``.
    name
        The new folder's name.
    note
        A word of the person's own.
    split
        Who is in which part, where that is settled.
    tensorboard
        Keep TensorBoard event files too.
    on_status
        Called with the status about twice a second.
    on_epoch
        Called with each finished epoch.

    Raises
    ------
    MGMTLabError
        Whatever a person can put right; the run's status says it too.
    """
    check_launcher()
    if tensorboard:
        check_tensorboard()
    run = RunFolder.create(
        settings, config, source, name, note=note, folder=run_dir, state="running", split=split, tensorboard=tensorboard
    )
    train(run, settings, on_status=on_status, on_epoch=on_epoch)
    return run


def train(
    run: RunFolder,
    settings: Settings,
    *,
    on_status: Callable[[RunStatus], None] = lambda status: None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
    only_if_queued: bool = False,
) -> RunStatus:
    """Train a run from where it stands; it ends as "finished", "stopped" or "failed".

    Parameters
    ----------
    run, settings
        The run; where the cache lies and how many threads may be used.
    on_status, on_epoch
        As in :func:`run_training`.
    only_if_queued
        Do nothing unless the run still waits in the queue: somebody may have stopped it in the meantime.

    Returns
    -------
    RunStatus
        How it ended.

    Raises
    ------
    RunBusyError
        Another process trains it.
    RunError
        It has finished already.
    MGMTLabError
        What made it fail, if a person can put it right.
    """
    with join_world() as world, run.lock(timeout_seconds=LOCK_SECONDS):
        status = run.status()
        if only_if_queued and status.state != "queued":
            return status
        if status.state == "finished":
            raise RunError(f"{run.name} has finished; there is nothing to resume. Start a new run.")
        _check_size(run, world)
        reporter = _Reporter(run, status, on_status)
        with _logging_to(run) as log, stop_signals() as signalled:
            try:
                _prepare_and_fit(run, settings, reporter, log, signalled, on_epoch, world)
                _finish(run, reporter)
            except TrainingStopped:
                log.info("stopped")
                reporter.end("stopped", "Stopped on request; it can be resumed.")
            except MGMTLabError as error:
                log.error("%s", error)
                reporter.end("failed", str(error))
                raise
            except (MemoryError, OSError) as error:
                log.exception("the machine")
                failure = _explain_machine(error)
                reporter.end("failed", str(failure))
                raise failure from error
            except Exception as error:
                log.exception("unexpected")
                reporter.end(
                    "failed", f"An unexpected {type(error).__name__} ended the run; train.log has the details."
                )
                raise
            finally:
                run.clear_stop()
        return reporter.status


def _finish(run: RunFolder, reporter: _Reporter) -> None:
    """Say that the run has finished, and only then remove its state: a kill in between costs disk space, not the run."""
    reporter.end("finished", "")
    run.resume_file.unlink(missing_ok=True)  # Three times the network's size, and of no more use.
    if run.status().state != "finished":  # The disk was full; now there is room for the last word.
        reporter.end("finished", "")


def _explain_machine(error: MemoryError | OSError) -> RunError:
    """What a person can do where memory or a file gave out outside the training loop."""
    if isinstance(error, MemoryError):
        return RunError("Memory does not suffice; close other programs or lower size_px, and start a new run.")
    place = f" ({error.filename})" if error.filename else ""
    return RunError(
        f"A file could not be read or written{place}: {error.strerror or error}. See that the data and the disk are "
        "there and have space, then resume the run; its best checkpoint so far is kept."
    )


def _check_size(run: RunFolder, world: World) -> None:
    """A run keeps its number of processes: another one changes what batch normalisation sees, and so the result."""
    before = run.environment().get("world_size", world.size)
    if before != world.size:
        raise RunError(
            f"{run.name} was begun by {before} processes, and here {'is' if world.size == 1 else 'are'} {world.size}; "
            f"another number gives another result. Go on with: {resume_command(run.path, before)}"
        )


def _prepare_and_fit(
    run: RunFolder,
    settings: Settings,
    reporter: _Reporter,
    log: logging.Logger,
    signalled: Callable[[], bool],
    on_epoch: Callable[[EpochRecord], None],
    world: World,
) -> None:
    from core.models.registry import check_form, find_architecture

    def stop() -> bool:
        return signalled() or run.stop_requested()

    def progress(done: int, total: int, what: str = "") -> None:
        reporter.tell(phase="preparing", step=done, steps=total, message=what)
        if stop():
            raise TrainingStopped

    if run.events.is_dir():
        check_tensorboard()
    config = run.config
    threads = run.environment().get("threads") or max(1, settings.threads // world.local_size)
    task = Task(config=config, source=run.source, threads=threads, resumes=run.resume_file.exists())
    reporter.epochs = config.epochs
    reporter.tell(at_once=True, phase="preparing", epochs=config.epochs)

    def brief() -> str:
        check_form(find_architecture(config.architecture), config.prep)
        return task.model_dump_json()

    world.alone(brief)
    cohort, table = prepare_material(task, settings, world, progress)
    log.info("%s: %d studies, %d labelled", cohort.root, len(cohort), len(cohort.labelled))
    for fault in table.faults:
        log.warning("left out: %s: %s", fault.path, fault.reason)
    split = settle_split(run, cohort, table, world)
    reporter.tell(at_once=True, message="")
    said = {sign.kind for sign in read_warning_signs(run)}
    with follow_events(run) as told:
        for record in fit(
            config, table, split, run=run, cohort=cohort, on_step=reporter.step, stop=stop, log=log, world=world
        ):
            best_epoch = record.epoch if record.best else reporter.status.best_epoch
            reporter.tell(at_once=True, best_epoch=best_epoch, gpu_memory_bytes=record.gpu_memory_bytes)
            for sign in read_warning_signs(run):
                if sign.kind not in said:
                    log.warning("%s", sign.message)
                    said.add(sign.kind)
            told()
            on_epoch(record)


class _Reporter:
    """Keeps status.json up to date, at most twice a second."""

    def __init__(self, run: RunFolder, before: RunStatus, on_status: Callable[[RunStatus], None]) -> None:
        self.run = run
        self.on_status = on_status
        self.status = before.model_copy(
            update={"state": "running", "started": now(), "finished": None, "message": "", "phase": "starting"}
        )
        self.written = 0.0
        self.first: tuple[float, float] | None = None
        self.epochs = before.epochs
        self.reserve = run.path / ".reserve"
        with suppress(StorageError):  # Then the next line says so.
            write_atomic(self.reserve, RESERVE_BYTES * b"\1")
        self.tell(at_once=True)

    def tell(self, *, at_once: bool = False, **changes: Any) -> None:
        self.status = self.status.model_copy(update=changes)
        if at_once or self.due():
            self.run.write_status(self.status)
            self.written = time.monotonic()
            self.on_status(self.status)

    def due(self) -> bool:
        return time.monotonic() - self.written >= STATUS_SECONDS

    def step(self, report: StepReport) -> None:
        moment = time.monotonic()
        if self.first is None:
            self.first = (moment, report.done)
            self.tell(at_once=True, phase=report.phase, message=f"Weights: {self.run.weights_summary()}.")
        elif report.done < self.first[1]:  # a first stage is over
            self.first = (moment, report.done)
        since, gained = moment - self.first[0], report.done - self.first[1]
        changes: dict[str, Any] = {}
        if self.due():  # Reading the gradient waits for the device.
            norm = report.gradient_norm
            changes = {"gradient_norm": None if norm is None else norm.item(), "memory_bytes": peak_memory()}
        self.tell(
            phase=report.phase,
            epoch=report.epoch,
            epochs=report.epochs,
            step=report.step,
            steps=report.steps,
            images_per_second=report.images_per_second,
            loss=report.loss,
            learning_rate=report.learning_rate,
            seconds_left=since / gained * (1 - report.done) if gained > 0 else None,
            **changes,
        )

    def end(self, state: str, message: str) -> None:
        changes: dict[str, Any] = {"state": state, "message": message, "finished": now(), "seconds_left": None}
        changes |= {"phase": "", "epochs": self.epochs}  # a first stage counts its own
        try:
            self.tell(at_once=True, **changes)
        except StorageError:
            self.reserve.unlink(missing_ok=True)
            # Where even that is not enough, the freed lock says "interrupted".
            with suppress(StorageError):
                self.tell(at_once=True, **changes)
        self.reserve.unlink(missing_ok=True)


@contextmanager
def _logging_to(run: RunFolder) -> Iterator[logging.Logger]:
    log = logging.getLogger(f"mgmt_lab.run.{run.name}")
    log.setLevel(logging.INFO)
    log.propagate = False
    handler = logging.FileHandler(run.log_file, encoding="utf-8")
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    log.addHandler(handler)
    try:
        yield log
    finally:
        log.removeHandler(handler)
        handler.close()


def main(arguments: list[str]) -> int:
    """Train the run whose folder is named; 0 when it finished or stopped, 2 for what a person can put right, 1 for a bug."""
    os.nice(NICENESS)
    run = RunFolder(Path(arguments[0]))
    try:
        train(run, load_settings(), only_if_queued=True)
    except MGMTLabError as error:
        if run.status().message != str(error):  # Else train.log has the line already.
            print(error, file=sys.stderr)
        return 2
    except Exception:
        if run.status().state != "failed":  # Else train.log has the traceback already.
            raise
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
