"""The process that trains one run: ``python -m core.training.trainer RUN_DIR``; the same code serves the foreground.

It holds the run's lock while it lives, writes how far it is into status.json, stops before the next batch on the stop
file, SIGTERM or SIGINT, and leaves the run in a state that says what happened. Under torchrun rank 0 trains like this,
and the others with :func:`follow`. The module itself is free of torch, so that whoever starts trainings can import it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.config import RunConfig
from core.dataset.split import Split
from core.errors import MGMTLabError, RunError, StorageError
from core.files import remove_file, storage_errors
from core.runs.folder import RunFolder
from core.runs.records import DataSource, EpochRecord, RunState, RunStatus
from core.runs.warning_signs import read_warning_signs
from core.settings import Settings, load_settings
from core.training.status_reporter import StatusReporter
from core.training.stopping import TrainingStopped, stop_signals
from core.training.tensorboard import check_tensorboard, follow_events
from core.training.torchrun import asked_size, check_launcher, resume_command

NICENESS = 10
LOCK_SECONDS = 10.0


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
    """Create a run and train it in this process, to its end.

    Parameters
    ----------
    settings, config, source
        Where, what, on which data.
    run_dir
        The run's folder; by default a new one below ``settings.runs``.
    name
        The new folder's name.
    note
        Free text, shown with the run.
    split
        Which patients are in which part; by default it is drawn.
    tensorboard
        Keep TensorBoard event files too.
    on_status
        Called with the status about twice a second.
    on_epoch
        Called with each finished epoch.

    Raises
    ------
    MGMTLabError
        What a person can put right; the run's status says it too.
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
    from core.training import distributed, session

    with distributed.process_group(), run.lock(timeout_seconds=LOCK_SECONDS):
        status = run.status()
        if only_if_queued and status.state != "queued":
            return status
        if status.state == "finished":
            raise RunError(f"{run.name} has finished; there is nothing to resume. Start a new run.")
        _check_processes(run)
        reporter = StatusReporter(run, status, on_status)
        with _logging_to(run, reporter) as log, stop_signals() as signalled:
            try:
                _train_session(session.train_session, run, settings, reporter, log, signalled, on_epoch)
                _finish(run, reporter)
            except TrainingStopped:
                log.info("stopped")
                reporter.end("stopped", "Stopped on request; it can be resumed.")
            except MGMTLabError as error:
                log.error("%s", error)
                reporter.end("failed", str(error), type(error).__name__)
                raise
            except (MemoryError, OSError) as error:
                log.exception("the machine")
                failure = _machine_error(error)
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


def follow(settings: Settings) -> RunState:
    """Train along with rank 0, which says what; return "finished" or "stopped". Nothing is written.

    Raises
    ------
    LostProcessError
        Another process is gone.
    MGMTLabError
        What made this process, or another, fail.
    """
    from core.training import distributed, session

    log = logging.getLogger("mgmt_lab.follower")
    log.propagate = False
    log.addHandler(logging.NullHandler())
    with distributed.process_group(), stop_signals() as signalled:

        def progress(done: int, total: int, what: str = "") -> None:
            if signalled():
                raise TrainingStopped

        try:
            for _ in session.train_session(
                None, settings, progress=progress, stop=signalled, on_step=lambda report: None, on_prepared=lambda: None,
                log=log,
            ):  # fmt: skip
                pass
        except TrainingStopped:
            return "stopped"
    return "finished"


def _finish(run: RunFolder, reporter: StatusReporter) -> None:
    """Write that the run has finished, and only then remove its state: a kill in between costs disk space, not the run."""
    reporter.end("finished", "")
    remove_file(run.resume_file)  # Three times the network's size, and of no more use.
    if run.status().state != "finished":  # The disk was full; now there is room for the last status.
        reporter.end("finished", "")


def _machine_error(error: MemoryError | OSError) -> RunError:
    """Return the error that says what to do where memory or a file gave out outside the training loop."""
    if isinstance(error, MemoryError):
        return RunError("Memory does not suffice; close other programs or lower size_px, and start a new run.")
    place = f" ({error.filename})" if error.filename else ""
    return RunError(
        f"A file could not be read or written{place}: {error.strerror or error}. See that the data and the disk are "
        "there and have space, then resume the run; its best checkpoint so far is kept."
    )


def _check_processes(run: RunFolder) -> None:
    """A run keeps its number of processes: another one changes what batch normalisation sees, and so the result."""
    now = asked_size()
    before = run.environment().get("world_size", now)
    if before != now:
        raise RunError(
            f"{run.name} was begun by {before} processes, and here {'is' if now == 1 else 'are'} {now}; "
            f"another number gives another result. Go on with: {resume_command(run.path, before)}"
        )


def _train_session(
    session: Callable[..., Iterator[EpochRecord]],
    run: RunFolder,
    settings: Settings,
    reporter: StatusReporter,
    log: logging.Logger,
    signalled: Callable[[], bool],
    on_epoch: Callable[[EpochRecord], None],
) -> None:
    """Train, and after each epoch update status, warning signs and event files."""

    def stop() -> bool:
        return signalled() or run.stop_requested()

    def progress(done: int, total: int, what: str = "") -> None:
        reporter.update(phase="preparing", step=done, steps=total, message=what)
        if stop():
            raise TrainingStopped

    if run.events.is_dir():
        check_tensorboard()
    reporter.epochs = run.config.epochs
    reporter.update(at_once=True, phase="preparing", epochs=reporter.epochs)
    warned = {sign.kind for sign in read_warning_signs(run)}
    with follow_events(run) as write_events:
        for record in session(
            run, settings, progress=progress, stop=stop, on_step=reporter.step,
            on_prepared=lambda: reporter.update(at_once=True, message=""), log=log,
        ):  # fmt: skip
            best_epoch = record.epoch if record.best else reporter.status.best_epoch
            reporter.update(at_once=True, best_epoch=best_epoch, gpu_memory_bytes=record.gpu_memory_bytes)
            for sign in read_warning_signs(run):
                if sign.kind not in warned:
                    log.warning("%s", sign.message)
                    warned.add(sign.kind)
            write_events()
            on_epoch(record)
    best = [record.epoch for record in run.epochs() if record.best]
    if best:  # killed before its status said so, an epoch is not yielded again
        reporter.update(at_once=True, best_epoch=best[-1])


@contextmanager
def _logging_to(run: RunFolder, reporter: StatusReporter) -> Iterator[logging.Logger]:
    log = logging.getLogger(f"mgmt_lab.run.{run.name}")
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        with storage_errors(run.log_file):
            handler = logging.FileHandler(run.log_file, encoding="utf-8")
    except StorageError as error:
        reporter.end("failed", str(error), type(error).__name__)
        raise
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
