"""The process that serves the queue: one run after the other, each in a trainer process of its own.

``python -m core.training.worker``; started by :mod:`core.training.launch`, never by hand.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress

from core.errors import RunBusyError
from core.settings import PROJECT_ROOT, Settings, load_settings
from core.training.launch import next_queued, process_environment, worker_lock
from core.training.lock import hold_lock
from core.training.run import RunFolder, list_runs, now

__all__ = ["serve"]

LOOK_SECONDS = 0.5


def serve(settings: Settings) -> None:
    """Train queued runs, one at a time, until none waits; returns at once where another worker serves.

    After letting go of its lock it looks once more: a run queued in that moment saw a worker and started none.
    """
    while next_queued(settings) is not None:
        try:
            with hold_lock(worker_lock(settings), "Another worker serves the queue.", timeout_seconds=1):
                _serve_locked(settings)
        except RunBusyError:
            return


def _serve_locked(settings: Settings) -> None:
    while (run := next_queued(settings)) is not None:
        # A trainer outlives a worker that was killed; its run is finished before the next one starts.
        if any(entry.status.state == "running" for entry in list_runs(settings)):
            time.sleep(LOOK_SECONDS)
            continue
        _train(run, settings)


def _train(run: RunFolder, settings: Settings) -> None:
    before = run.status()
    threads = run.environment().get("threads") or settings.threads
    try:
        log = run.log_file.open("ab")
    except FileNotFoundError:
        return  # Deleted a moment ago.
    with log:
        code = subprocess.run(
            [sys.executable, "-m", "core.training.trainer", str(run.path)],
            cwd=PROJECT_ROOT,
            env=process_environment(settings, threads),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=False,
        ).returncode
    _fail_if_not_started(run, code, before.queued)


def _fail_if_not_started(run: RunFolder, code: int, queued: str) -> None:
    """A run whose trainer died before it began would be started for ever."""
    with suppress(RunBusyError, FileNotFoundError), run.lock():
        status = run.status()
        if status.state == "queued" and status.queued == queued:
            message = f"The trainer ended with code {code} before it began; see train.log, then resume the run."
            run.write_status(status.model_copy(update={"state": "failed", "message": message, "finished": now()}))


if __name__ == "__main__":
    serve(load_settings())
