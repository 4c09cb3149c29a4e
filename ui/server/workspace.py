"""Where a server keeps what visitors hand in: one folder, removed at its end, or by the next start after a kill."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from functools import cache
from pathlib import Path

from filelock import FileLock

from core.runs.lock import hold_to_the_end, is_locked

PREFIX = "mgmt-lab-server-"

DELETED = threading.Event()
"""Set where a visitor deleted his scan: what the server still keeps of it goes at its next look."""


@cache
def open_workspace() -> Path:
    """Return this process's folder; the lock beside it is held as long as the process lives."""
    folder = Path(tempfile.gettempdir()) / f"{PREFIX}{os.getpid()}-{os.urandom(6).hex()}"
    lock = hold_to_the_end(folder.with_suffix(".lock"))
    folder.mkdir(mode=0o700)
    atexit.register(_close, folder, lock)
    return folder


def sweep() -> list[Path]:
    """Remove the folders of servers that were killed, and return which."""
    left = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = folder.with_suffix(".lock")
        if folder.suffix or folder.is_symlink() or folder.stat().st_uid != os.getuid() or is_locked(lock):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        left.append(folder)
    return left


def _close(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
