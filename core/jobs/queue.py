"""The queue of runs: add one, change the order, stop and resume; one detached worker process serves it.

The queue is nothing but the runs whose status says "queued", in the order of the moment that each has there. Changing
places means exchanging these moments, so the order lies in the runs' own folders and outlives the app. The worker
(:mod:`core.jobs.worker`) runs with no page open and ends when the queue is empty; whoever adds a run makes sure
that there is a worker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from core.config import RunConfig
from core.data.prepare.eviction import evict
from core.dataset.split import Split
from core.errors import HostedModeError, RunBusyError, RunError
from core.files import storage_errors
from core.jobs.process import start_detached
from core.jobs.quota import check_limits, check_quota
from core.runs.folder import RunFolder, list_runs, now, with_absolute_paths
from core.runs.lock import hold_lock, is_locked
from core.runs.records import DataSource, RunState
from core.settings import Settings
from core.training.tensorboard import check_tensorboard
from core.training.torchrun import resume_command

WAITING: tuple[RunState, ...] = ("queued", "running")
QUEUE_SECONDS = 14 * 24 * 3600.0
"""How long an experiment waits for the queue to become empty."""


def submit(
    settings: Settings,
    config: RunConfig,
    source: DataSource,
    name: str | None = None,
    owner: str = "",
    note: str = "",
    split: Split | None = None,
    *,
    tensorboard: bool = False,
) -> RunFolder:
    """Queue a run and make sure that a worker serves the queue.

    The same configuration on the same data by the same owner, while it still waits or runs, gives the run that
    is already there: two clicks start one run. The parameters are those of :meth:`RunFolder.create`.

    Raises
    ------
    ConfigError
        TensorBoard's event files are asked for, and the package is missing.
    HostedModeError
        A visitor asks for more than the demo grants, or for a file of the server.
    RunError
        The name cannot be used.
    StorageError
        The run's folder cannot be written.
    """
    check_limits(settings, config)
    if tensorboard:
        check_tensorboard()
    with storage_errors(settings.runs):
        settings.runs.mkdir(parents=True, exist_ok=True)
    with lock_queue(settings):
        run = _find_same(settings, config, source, name, owner)
        if run is None:
            check_quota(settings, owner)
            make_room(settings, source)
            run = RunFolder.create(settings, config, source, name, owner, note, split=split, tensorboard=tensorboard)
    ensure_worker(settings)
    return run


def make_room(settings: Settings, *asked: DataSource) -> None:
    """Let a demo's cache hold no more than it may; what is asked for, and what runs wait for or train on, stays."""
    waiting = (one.run.source for one in list_runs(settings) if one.status.state in WAITING) if settings.hosted else ()
    evict(settings, [Path(one.root) for one in (*asked, *waiting)])


def ensure_worker(settings: Settings) -> None:
    """Start the worker if runs wait and none lives; it survives the app, and a second one ends at once.

    Call it also when the app starts: after a restart of the machine it serves the runs that waited.
    """
    if next_queued(settings) is None or is_locked(worker_lock(settings)):
        return
    start_detached("core.jobs.worker", settings=settings, log=settings.runs / ".worker.log")


def request_stop(run: RunFolder) -> None:
    """Ask a run to stop: at its next batch where it trains, at once where it waits; it can be resumed.

    Raises
    ------
    RunError
        It neither trains nor waits.
    """
    if run.status().state not in WAITING:
        raise RunError(f"{run.name} is {run.status().state}; there is nothing to stop.")
    run.ask_to_stop()
    try:
        with run.lock(timeout_seconds=0.2):
            status = run.status()
            if status.state == "queued":
                run.write_status(status.model_copy(update={"state": "stopped", "message": ""}))
                run.clear_stop()
    except RunBusyError:
        return  # The trainer has it and will see the stop file.


def resume(run: RunFolder, settings: Settings) -> None:
    """Queue a stopped, interrupted or failed run again; one that waits or runs is left alone.

    Raises
    ------
    RunError
        It has finished, its configuration is damaged, several processes began it, or it lies outside the runs' folder.
    HostedModeError
        The visitor has as many runs waiting or in training as a demo grants.
    """
    if run.path.parent != settings.runs.resolve():
        raise RunError(
            f"{run.path} lies outside {settings.runs}, where the queue does not look; resume it in the foreground "
            f"with: python -m core runs resume {run.path}"
        )
    with lock_queue(settings):
        status = run.status()
        if status.state not in WAITING:
            check_quota(settings, status.owner, kept=True)
        mark_queued(run)
    ensure_worker(settings)


def mark_queued(run: RunFolder) -> None:
    """Set a run's state to "queued" if it can be resumed and is not in training; raises RunError as :func:`resume`."""
    try:
        with run.lock(timeout_seconds=0.2):
            status = run.status()
            if status.state == "finished":
                raise RunError(f"{run.name} has finished; there is nothing to resume. Start a new run.")
            size = run.environment().get("world_size", 1)
            if size > 1:
                raise RunError(
                    f"{run.name} was begun by {size} processes, and the queue trains in one, which gives another result. "
                    f"Resume it with: {resume_command(run.path, size)}"
                )
            epochs = run.config.epochs
            if status.state != "queued":
                run.clear_stop()
                changes = {"state": "queued", "queued": now(), "message": "", "phase": "", "epochs": epochs}
                run.write_status(status.model_copy(update=changes))
    except RunBusyError:
        return  # Another click was faster, and the trainer has it already.


def worker_lock(settings: Settings) -> Path:
    """The lock file that the worker holds while it lives."""
    return settings.runs / ".worker.lock"


@contextmanager
def hold_queue(settings: Settings) -> Iterator[None]:
    """Hold what the queue's worker holds, so that runs and experiments never compete, and wake the queue afterwards."""
    with storage_errors(settings.runs):
        settings.runs.mkdir(parents=True, exist_ok=True)
    try:
        with hold_lock(worker_lock(settings), "The queue of runs never became empty.", QUEUE_SECONDS):
            yield
    finally:
        ensure_worker(settings)


def list_waiting(settings: Settings) -> list[RunFolder]:
    """The runs that wait, the next one first; in hosted mode those of all visitors."""
    waiting = [entry for entry in list_runs(settings) if entry.status.state == "queued"]
    return [entry.run for entry in sorted(waiting, key=lambda entry: (entry.status.queued, entry.run.name))]


def next_queued(settings: Settings, besides: Collection[RunFolder] = ()) -> RunFolder | None:
    """The run that has waited longest, or None; `besides` are those that are being started already."""
    return next((run for run in list_waiting(settings) if run not in besides), None)


def lock_queue(settings: Settings) -> AbstractContextManager[None]:
    """Held by whoever adds a run or changes the order; the runs' folder must exist."""
    return hold_lock(settings.runs / ".submit.lock", "The queue is busy; try again.", timeout_seconds=30)


def put_first(run: RunFolder, settings: Settings) -> None:
    """Let a run that waits be the next one, before all others that wait.

    Raises
    ------
    RunError
        It does not wait.
    HostedModeError
        Visitors share the queue of a demo.
    """
    with _reordering(run, settings) as waiting:
        if waiting.index(run) > 0:
            before = datetime.fromisoformat(waiting[0].status().queued) - timedelta(milliseconds=1)
            _set_queued(run, before.isoformat(timespec="microseconds"))


def move(run: RunFolder, settings: Settings, way: Literal["up", "down"]) -> None:
    """Let a run that waits change places with the one before ("up") or behind it; the first and last stay there.

    Raises
    ------
    RunError, HostedModeError
        As :func:`put_first`.
    """
    with _reordering(run, settings) as waiting:
        place = waiting.index(run) + (-1 if way == "up" else 1)
        if 0 <= place < len(waiting):
            other = waiting[place]
            ours, theirs = run.status().queued, other.status().queued
            _set_queued(other, ours)
            _set_queued(run, theirs)


def cancel(run: RunFolder) -> None:
    """Take a run that waits out of the queue; it is "stopped" then, and can be resumed or deleted.

    Raises
    ------
    RunError
        It does not wait: its turn has come, or it has ended.
    """
    try:
        with run.lock(timeout_seconds=0.2):
            status = run.status()
            if status.state != "queued":
                raise RunError(f"{run.name} is {status.state}; only a run that waits can be taken out of the queue.")
            run.write_status(status.model_copy(update={"state": "stopped", "message": "Taken out of the queue."}))
    except RunBusyError as error:
        raise RunError(f"The turn of {run.name} has come already; stop it instead.") from error


def _find_same(
    settings: Settings, config: RunConfig, source: DataSource, name: str | None, owner: str
) -> RunFolder | None:
    wanted = with_absolute_paths(config, source)
    for entry in list_runs(settings, owner):
        candidate = entry.status.state in WAITING and name in (None, entry.run.name)
        if candidate and (entry.run.config, entry.run.source) == wanted:
            return entry.run
    return None


@contextmanager
def _reordering(run: RunFolder, settings: Settings) -> Iterator[list[RunFolder]]:
    """The runs that wait, while nobody else changes their order."""
    if settings.hosted:
        raise HostedModeError(
            "A demo serves its queue in the order of asking; run MGMT Lab on a machine of your own to change it."
        )
    if run.path.parent != settings.runs.resolve():
        raise RunError(f"{run.path} lies outside {settings.runs}, so it does not wait in this queue.")
    with lock_queue(settings):
        waiting = list_waiting(settings)
        if run not in waiting:
            raise RunError(f"{run.name} is {run.status().state}; only a run that waits can change its place.")
        yield waiting


def _set_queued(run: RunFolder, moment: str) -> None:
    """Give a run another moment in the queue; one whose turn has come in the meantime keeps its own."""
    with suppress(RunBusyError), run.lock(timeout_seconds=0.2):
        status = run.status()
        if status.state == "queued":
            run.write_status(status.model_copy(update={"queued": moment}))
