"""File locks that tell whether a process is alive: it holds one, and the system releases it when the process dies.

A process id does not tell: a killed trainer stays a zombie and still answers, and ids are used again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core.errors import RunBusyError
from core.files import storage_errors

if sys.platform != "win32":
    import fcntl


@contextmanager
def hold_lock(path: Path, busy: str, timeout_seconds: float = 2.0) -> Iterator[None]:
    """Hold an exclusive lock for the length of the block.

    Parameters
    ----------
    path
        The lock file; it is created where missing and stays. Its folder must exist.
    busy
        The error message where another process holds the lock.
    timeout_seconds
        How long to try; more than a moment, because :func:`is_locked` elsewhere touches the lock briefly.

    Raises
    ------
    RunBusyError
        Another process holds the lock.
    StorageError
        The lock file cannot be made.
    """
    lock = FileLock(path)
    try:
        with storage_errors(path):
            lock.acquire(timeout=timeout_seconds, poll_interval=0.01)
    except Timeout as error:
        raise RunBusyError(busy) from error
    try:
        yield
    finally:
        lock.release()


def hold_to_the_end(path: Path) -> FileLock:
    """Hold a lock until the process ends or it is released, and return it.

    A lock keeps the thread that acquired it, and with a page's thread the whole session: a thread of its own does it here.

    Raises
    ------
    StorageError
        The lock file cannot be made.
    """
    lock = FileLock(path, thread_local=False)
    with storage_errors(path), ThreadPoolExecutor(1) as pool:
        pool.submit(lock.acquire, timeout=0).result()
    return lock


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock; asking does not keep others from taking it.

    Where the system has shared locks, one is tried: any number of processes may ask at the same time.
    """
    if not path.exists():
        return False
    if sys.platform == "win32":
        return _is_locked_portably(path)
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_locked_portably(path: Path) -> bool:
    try:
        with FileLock(path, blocking=False):
            return False
    except Timeout:
        return True
