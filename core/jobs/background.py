"""An experiment that goes on with no page open: a detached process, whose folder says how far it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import HostedModeError, RunBusyError
from core.files import write_atomic
from core.jobs.foreground import STOP
from core.jobs.process import start_detached
from core.runs.folder import RunFolder
from core.runs.lock import is_locked
from core.settings import Settings

LOG = "log.txt"
START_SECONDS = 120.0
"""A process that was started so long ago and holds no lock never began; on a busy machine Python alone takes half a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentStatus:
    """How an experiment stands."""

    state: Literal["none", "running", "stopped", "finished"]
    done: int
    """Members that are trained."""
    message: str
    """The last line that it said."""
    stopping: bool = False
    """It runs, and was asked to stop."""


def start_experiment(settings: Settings, name: str, command: Sequence[str]) -> None:
    """Start, or go on with, an experiment in a process of its own.

    Parameters
    ----------
    settings
        Where experiments live.
    name
        Its folder below ``settings.experiments``.
    command
        The command line's words after ``python -m core``, without --name.

    Raises
    ------
    HostedModeError
        This is a demo.
    RunBusyError
        It is being worked on.
    """
    if settings.hosted:
        raise HostedModeError("This demo trains no experiments of many runs; run MGMT Lab on a machine of your own.")
    if read_experiment_status(settings, name).state == "running":
        raise RunBusyError(f"{name} is being worked on; stop it first, or wait.")
    folder = settings.experiments / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STOP).unlink(missing_ok=True)
    write_atomic(folder / "started", "")
    start_detached("core", *command, "--name", name, "--behind-queue", settings=settings, log=folder / LOG)


def stop_experiment(settings: Settings, name: str) -> None:
    """Ask an experiment to stop; the member in training stops at its next batch, and can be gone on with."""
    folder = settings.experiments / name
    write_atomic(folder / STOP, "")
    for path in folder.glob("runs/*/"):
        run = RunFolder(path)
        if run.is_alive():
            run.ask_to_stop()


def read_experiment_status(settings: Settings, name: str) -> ExperimentStatus:
    """Say how an experiment stands, from its folder alone."""
    folder = settings.experiments / name
    if not folder.is_dir():
        return ExperimentStatus(state="none", done=0, message="")
    done = sum(RunFolder(path).status().state == "finished" for path in folder.glob("runs/*/"))
    message = _last_line(folder / LOG)
    if is_locked(folder / ".lock"):
        return ExperimentStatus(state="running", done=done, message=message, stopping=(folder / STOP).exists())
    if (folder / "result.json").exists():
        return ExperimentStatus(state="finished", done=done, message=message)
    started = folder / "started"
    young = started.exists() and time.time() - started.stat().st_mtime < START_SECONDS
    if young and not message.startswith("error:") and not (folder / STOP).exists():
        return ExperimentStatus(state="running", done=done, message="starting")
    return ExperimentStatus(state="stopped", done=done, message=message)


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - 4096))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
