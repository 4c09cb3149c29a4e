"""The process that serves the queue: one run after the other, or ``MGMT_LAB_JOBS`` at a time, each in a trainer
process of its own.

``python -m core.jobs.worker``; started by :func:`core.jobs.queue.ensure_worker`, never by hand.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from core.errors import RunBusyError
from core.jobs.process import start_detached
from core.jobs.queue import next_queued, worker_lock
from core.runs.folder import RunFolder, list_runs, now
from core.runs.lock import hold_lock
from core.settings import Settings, load_settings
from core.training.memory import oom_kills

LOOK_SECONDS = 0.5
HEED_SECONDS = 120.0
KILLED = -9
"""Return code of a process that SIGKILL ended."""
OUT_OF_MEMORY = (
    "The system ended the training at a moment at which memory ran out. Close other programs, or lower batch_size or "
    "size_px in a new run; this run can be resumed from where it was last saved."
)


def serve(settings: Settings) -> None:
    """Train queued runs, ``settings.jobs`` at a time, until none waits; returns at once where another worker serves.

    After letting go of its lock it looks once more: a run queued in that moment saw a worker and started none.
    """
    while next_queued(settings) is not None:
        try:
            with hold_lock(worker_lock(settings), "Another worker serves the queue.", timeout_seconds=1):
                _serve_locked(settings)
        except RunBusyError:
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trainer:
    """A run that this worker has started."""

    run: RunFolder
    process: subprocess.Popen[bytes]
    queued: str
    """The moment that the run had in the queue."""
    began: float
    """When it was started, by the monotonic clock, in seconds."""
    kills: int | None
    """How often the system had ended a process for want of memory when it began."""


def _serve_locked(settings: Settings) -> None:
    trainers: list[_Trainer] = []
    while True:
        for trainer in trainers:
            if settings.hosted and time.monotonic() > trainer.began + settings.hosted_minutes * 60:
                _end_overdue(trainer, settings)
            if trainer.process.poll() is not None:
                _note_end(trainer)
        trainers = [trainer for trainer in trainers if trainer.process.returncode is None]
        if len(trainers) < settings.jobs:
            ours = [trainer.run for trainer in trainers]
            run = next_queued(settings, besides=ours)
            if run is None and not trainers:
                return
            if run is not None and len(trainers) + _count_others(settings, ours) < settings.jobs:
                started = _start(run, settings)
                trainers += [started] if started else []
                continue
        _wait(trainers, LOOK_SECONDS)


def _count_others(settings: Settings, ours: Collection[RunFolder]) -> int:
    """Runs in training that this worker did not start: a trainer outlives a worker that was killed."""
    return sum(entry.status.state == "running" and entry.run not in ours for entry in list_runs(settings))


def _wait(trainers: Sequence[_Trainer], seconds: float) -> None:
    """Sleep, but not beyond the end of a trainer."""
    if len(trainers) != 1:
        time.sleep(seconds)
        return
    with suppress(subprocess.TimeoutExpired):
        trainers[0].process.wait(timeout=seconds)


def _start(run: RunFolder, settings: Settings) -> _Trainer | None:
    """Start a run's trainer with its share of the threads; a resumed run keeps its number. None where it was deleted."""
    before, kills = run.status(), oom_kills()
    share = max(1, settings.threads // settings.jobs)
    threads = run.environment().get("threads") or share
    try:
        process = start_detached(
            "core.training.trainer",
            str(run.path),
            settings=replace(settings, threads=share),
            log=run.log_file,
            threads=threads,
        )
    except FileNotFoundError:
        return None  # Deleted a moment ago.
    return _Trainer(run=run, process=process, queued=before.queued, began=time.monotonic(), kills=kills)


def _end_overdue(trainer: _Trainer, settings: Settings) -> None:
    """Stop a run of a demo that trains longer than it may; one that does not heed it within two minutes is killed."""
    trainer.run.ask_to_stop()
    if time.monotonic() > trainer.began + settings.hosted_minutes * 60 + HEED_SECONDS:
        trainer.process.kill()


def _note_end(trainer: _Trainer) -> None:
    """Mark a run as failed whose trainer could not do so itself: one that never began, or that ran out of memory."""
    run, code = trainer.run, trainer.process.returncode
    with suppress(RunBusyError, FileNotFoundError), run.lock():
        status = run.status()
        message = ""
        if status.state == "queued" and status.queued == trainer.queued:  # It would be started for ever.
            message = f"The trainer ended with code {code} before it began; see train.log, then resume the run."
        elif status.state == "running" and code == KILLED and (oom_kills() or 0) > (trainer.kills or 0):
            message = OUT_OF_MEMORY
        if message:
            changes = {"state": "failed", "message": message, "finished": now(), "seconds_left": None}
            run.write_status(status.model_copy(update=changes))


if __name__ == "__main__":
    serve(load_settings())
