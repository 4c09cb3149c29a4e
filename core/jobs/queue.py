"""The order of the queue: the runs whose status says "queued", by the moment that each has there.

Changing places means exchanging these moments, so the order lies in the runs' own folders and outlives the app.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta
from typing import Literal

from core.errors import HostedModeError, RunBusyError, RunError
from core.runs.folder import RunFolder, list_runs
from core.runs.lock import hold_lock
from core.settings import Settings


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
    with _changing_places(run, settings) as waiting:
        if waiting.index(run) > 0:
            before = datetime.fromisoformat(waiting[0].status().queued) - timedelta(milliseconds=1)
            _set_moment(run, before.isoformat(timespec="microseconds"))


def move(run: RunFolder, settings: Settings, way: Literal["up", "down"]) -> None:
    """Let a run that waits change places with the one before ("up") or behind it; the first and last stay there.

    Raises
    ------
    RunError, HostedModeError
        As :func:`put_first`.
    """
    with _changing_places(run, settings) as waiting:
        place = waiting.index(run) + (-1 if way == "up" else 1)
        if 0 <= place < len(waiting):
            other = waiting[place]
            ours, theirs = run.status().queued, other.status().queued
            _set_moment(other, ours)
            _set_moment(run, theirs)


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


@contextmanager
def _changing_places(run: RunFolder, settings: Settings) -> Iterator[list[RunFolder]]:
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


def _set_moment(run: RunFolder, moment: str) -> None:
    """Give a run another moment in the queue; one whose turn has come in the meantime keeps its own."""
    with suppress(RunBusyError), run.lock(timeout_seconds=0.2):
        status = run.status()
        if status.state == "queued":
            run.write_status(status.model_copy(update={"queued": moment}))
