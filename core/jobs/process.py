"""Start a process of ours that outlives its caller: detached, with the same settings, and never left as a zombie."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from core.files import storage_errors
from core.settings import PROJECT_ROOT, Settings

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def process_environment(settings: Settings, threads: int | None = None) -> dict[str, str]:
    """Return the environment variables of a process with these settings and, where given, so many numerical threads."""
    environment = {
        **os.environ,
        "MGMT_LAB_HOME": str(settings.home),
        "MGMT_LAB_MODE": settings.mode,
        "MGMT_LAB_THREADS": str(settings.threads),
        "MGMT_LAB_JOBS": str(settings.jobs),
        "PYTHONUNBUFFERED": "1",
    }
    if threads is not None:
        environment |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    return environment


def start_detached(
    module: str,
    *arguments: str,
    settings: Settings,
    log: Path | None = None,
    threads: int | None = None,
    variables: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``python -m module`` in a session of its own and return its process.

    Ctrl-C in the caller's terminal does not reach it, and it outlives the caller. A thread waits for its end,
    because an ended process whose parent does not wait for it stays a zombie.

    Parameters
    ----------
    module, arguments
        What to run.
    settings, threads
        As in :func:`process_environment`.
    log
        Standard output and standard error are appended to this file; its folder must exist. Without one, standard error
        is the caller's.
    variables
        More environment variables.

    Raises
    ------
    StorageError
        The log cannot be written.
    FileNotFoundError
        The folder of the log was deleted.
    """
    with ExitStack() as stack:
        stream = None
        if log is not None:
            stack.enter_context(storage_errors(log))
            stream = stack.enter_context(log.open("ab"))
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=PROJECT_ROOT,
            env={**process_environment(settings, threads), **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=stream or subprocess.DEVNULL,
            stderr=stream,
            start_new_session=True,
        )
    threading.Thread(target=process.wait, name=f"wait for {module}", daemon=True).start()
    return process
