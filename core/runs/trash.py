"""Deleted runs that can be restored until the app stops.

A deleted run moves to ``runs/.trash/<token>/``, the trash of one server, which holds a lock there while it lives. A
server that starts empties every trash whose lock nobody holds: those of servers that have ended, in whatever way. A
process id would not tell (:mod:`core.runs.lock`).
"""

from __future__ import annotations

import secrets
import shutil
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from core.errors import RunBusyError, RunError
from core.files import storage_errors
from core.runs.folder import RunFolder, sweep_deleted
from core.runs.lock import hold_lock, hold_to_the_end, is_locked
from core.settings import Settings

TRASH = ".trash"
ALIVE = ".alive.lock"
_open: dict[Path, Trash] = {}
"""The trash of this process by folder of runs: it belongs to the process, as its lock does, not to a session."""
_opening = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedRun:
    """A run in the trash."""

    name: str
    """Its name before, and again after it is restored."""
    owner: str
    run: RunFolder
    """Where it is now."""


class Trash:
    """Runs that this process deleted; made by :func:`open_trash`.

    Parameters
    ----------
    runs
        The folder of the runs.
    """

    def __init__(self, runs: Path) -> None:
        self._runs = runs.resolve()
        self._folder = self._runs / TRASH / secrets.token_hex(8)
        with storage_errors(self._folder), _sweep_lock(self._runs):
            # Under the sweep's lock, so that no starting server sees the folder before its lock is held.
            self._folder.mkdir()
            self._held = hold_to_the_end(self._folder / ALIVE)

    def put(self, run: RunFolder) -> DeletedRun:
        """Move a run into the trash.

        Raises
        ------
        RunBusyError
            It is being trained, or waits in the queue; stop it first.
        RunError
            It lies outside the folder of the runs: then it would have to be copied.
        """
        if run.path.parent != self._runs:
            raise RunError(f"{run.path} lies outside {self._runs}; delete its folder yourself.")
        with run.lock(timeout_seconds=0.2):
            status = run.status()
            if status.state == "queued":
                raise RunBusyError(f"{run.name} waits in the queue; stop it, then delete it.")
            # A folder of its own, because a run of the same name may have been deleted before.
            place = self._folder / secrets.token_hex(4) / run.name
            with storage_errors(place):
                place.parent.mkdir()
                run.path.rename(place)
        return DeletedRun(name=place.name, owner=status.owner, run=RunFolder(place))

    def list(self, owner: str | None = None) -> list[DeletedRun]:
        """Return the runs that can be restored, the last one deleted first; only this owner's where one is named."""
        places = sorted(self._folder.glob("*/*/"), key=lambda place: place.parent.stat().st_mtime, reverse=True)
        entries = [
            DeletedRun(name=place.name, owner=RunFolder(place).status().owner, run=RunFolder(place)) for place in places
        ]
        return [entry for entry in entries if owner is None or entry.owner == owner]

    def undo(self, deleted: DeletedRun) -> RunFolder:
        """Restore a run.

        Raises
        ------
        RunError
            It is not in the trash any more, or another run has its name.
        """
        target = self._runs / deleted.name
        if target.exists():
            raise RunError(f"There is a run {deleted.name} again; delete that one, then bring this one back.")
        with storage_errors(target):
            try:
                deleted.run.path.rename(target)
            except FileNotFoundError as error:
                raise RunError(f"{deleted.name} is not in the trash any more.") from error
        shutil.rmtree(deleted.run.path.parent, ignore_errors=True)
        return RunFolder(target)

    def empty(self, owner: str | None = None) -> None:
        """Delete the runs in the trash permanently; only this owner's where one is named."""
        for deleted in self.list(owner):
            shutil.rmtree(deleted.run.path.parent, ignore_errors=True)

    def close(self) -> None:
        """Release the trash, as the end of the process does."""
        self._held.release()


def open_trash(settings: Settings) -> Trash:
    """Return this process's trash for the runs of an installation; the first call creates it.

    Raises
    ------
    StorageError
        The folder of the runs cannot be written.
    """
    runs = settings.runs.resolve()
    with _opening:
        if runs not in _open:
            _open[runs] = Trash(runs)
        return _open[runs]


def empty_dead_trashes(settings: Settings) -> int:
    """Remove the trash of servers that have ended, and what is left of deleted runs; return how many runs that were. Called when the app starts."""
    runs = settings.runs.resolve()
    sweep_deleted(runs)
    if not (runs / TRASH).is_dir():
        return 0
    removed = 0
    with storage_errors(runs / TRASH), _sweep_lock(runs):
        for folder in (runs / TRASH).iterdir():
            if folder.is_dir() and not is_locked(folder / ALIVE):
                removed += sum(1 for _ in folder.glob("*/*/"))
                shutil.rmtree(folder, ignore_errors=True)
    return removed


def _sweep_lock(runs: Path) -> AbstractContextManager[None]:
    (runs / TRASH).mkdir(parents=True, exist_ok=True)
    return hold_lock(runs / TRASH / ".lock", "Another server is emptying the trash; try again.", 30)
