"""Start, stop and resume training from outside: a queue of runs served by one detached worker process.

The queue is nothing but the runs whose status says "queued" (:mod:`core.jobs.queue`). The worker goes on with no
page open and ends when the queue is empty; whoever adds a run makes sure that there is a worker.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from core.config import RunConfig
from core.errors import HostedModeError, RunBusyError, RunError
from core.files import storage_errors
from core.jobs.queue import lock_queue, next_queued
from core.runs.folder import RunFolder, list_runs, now, with_absolute_paths
from core.runs.lock import is_locked
from core.runs.records import DataSource, RunState
from core.settings import PROJECT_ROOT, Settings
from core.training.tensorboard import check_tensorboard
from core.training.torchrun import resume_command

if TYPE_CHECKING:
    from core.dataset.split import Split


WAITING: tuple[RunState, ...] = ("queued", "running")


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
        A visitor asks for more epochs than the demo grants, or for a file of the server.
    RunError
        The name cannot be used.
    StorageError
        The run's folder cannot be written.
    """
    if settings.hosted and config.weights not in ("default", "none"):
        raise HostedModeError("A demo reads no files of its server; choose weights 'default' or 'none'.")
    if settings.hosted and config.epochs > settings.hosted_epochs:
        raise HostedModeError(
            f"{config.epochs} epochs are more than the {settings.hosted_epochs} that this demo trains; choose fewer, "
            "or run MGMT Lab on a machine of your own."
        )
    if tensorboard:
        check_tensorboard()
    with storage_errors(settings.runs):
        settings.runs.mkdir(parents=True, exist_ok=True)
    with lock_queue(settings):
        run = _find_twin(settings, config, source, name, owner)
        if run is None:
            run = RunFolder.create(settings, config, source, name, owner, note, split=split, tensorboard=tensorboard)
    ensure_worker(settings)
    return run


def ensure_worker(settings: Settings) -> None:
    """Start the worker if runs wait and none lives; it survives the app, and a second one ends at once.

    Call it also when the app starts: after a restart of the machine the queue goes on.
    """
    if next_queued(settings) is None or is_locked(worker_lock(settings)):
        return
    log = settings.runs / ".worker.log"
    with storage_errors(log), log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "core.jobs.worker"],
            cwd=PROJECT_ROOT,
            env=process_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    # Whoever started it must also bury it, or it stays a zombie for as long as the app lives.
    threading.Thread(target=process.wait, name="bury the worker", daemon=True).start()


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
    """
    if run.path.parent != settings.runs.resolve():
        raise RunError(
            f"{run.path} lies outside {settings.runs}, where the queue does not look; resume it in the foreground "
            f"with: python -m core runs resume {run.path}"
        )
    mark_queued(run)
    ensure_worker(settings)


def mark_queued(run: RunFolder) -> None:
    """Set a run's state to "queued" if it can go on and is not being trained; raises RunError as :func:`resume`."""
    try:
        with run.lock(timeout_seconds=0.2):
            status = run.status()
            if status.state == "finished":
                raise RunError(f"{run.name} has finished; there is nothing to resume. Start a new run.")
            size = run.environment().get("world_size", 1)
            if size > 1:
                raise RunError(
                    f"{run.name} was begun by {size} processes, and the queue trains in one, which gives another result. "
                    f"Go on with: {resume_command(run.path, size)}"
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


def process_environment(settings: Settings, threads: int | None = None) -> dict[str, str]:
    """Environment variables for a process of ours: the same installation, and so many threads."""
    environment = {
        **os.environ,
        "MGMT_LAB_HOME": str(settings.home),
        "MGMT_LAB_MODE": settings.mode,
        "MGMT_LAB_THREADS": str(settings.threads),
        "MGMT_LAB_JOBS": str(settings.jobs),
        "PYTHONUNBUFFERED": "1",
    }
    if threads is not None:
        environment |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return environment


def _find_twin(
    settings: Settings, config: RunConfig, source: DataSource, name: str | None, owner: str
) -> RunFolder | None:
    wanted = with_absolute_paths(config, source)
    for entry in list_runs(settings, owner):
        candidate = entry.status.state in WAITING and name in (None, entry.run.name)
        if candidate and (entry.run.config, entry.run.source) == wanted:
            return entry.run
    return None
