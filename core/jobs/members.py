"""Many trainings as one job: each an ordinary run folder, several at the same time, kept when finished, else resumed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.config import RunConfig
from core.dataset.split import Split
from core.errors import RunError
from core.jobs.foreground import STOP
from core.parallel import on_cluster, run_tasks
from core.progress import Progress, silent
from core.runs.folder import RunFolder
from core.runs.records import DataSource, EpochRecord
from core.settings import Settings
from core.training.trainer import train

WATCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One training of an experiment."""

    name: str
    """Of its folder below the experiment's ``runs``."""
    config: RunConfig
    split: Split


def train_members(
    folder: Path,
    members: Sequence[Member],
    settings: Settings,
    source: DataSource,
    *,
    jobs: int = 1,
    progress: Progress = silent,
) -> None:
    """Train every member to its end; what has finished is skipped, what was cut off goes on where it stopped.

    Parameters
    ----------
    folder
        The experiment's; each member is the run ``folder / "runs" / name``.
    members
        What to train.
    settings, source
        Where, on which data. The threads are shared out among the jobs.
    jobs
        Trainings at the same time, in processes of this machine or, inside :func:`core.parallel.dask_cluster`, of a
        cluster, whose workers see the same folders.
    progress
        Called with epochs finished, of all members together.

    Raises
    ------
    KeyboardInterrupt
        Somebody asked it to stop; every member's state is saved.
    RunBusyError
        Another process still trains a member.
    MGMTLabError
        What kept a member from being trained; the others' state is kept.
    """
    total = sum(member.config.epochs for member in members)
    epochs = {member.name: _count_epochs(folder, member) for member in members}
    waiting = [member for member in members if RunFolder(folder / "runs" / member.name).status().state != "finished"]
    progress(sum(epochs.values()), total, "")
    jobs = min(jobs, max(1, len(waiting)))
    alone = jobs == 1 and not on_cluster()
    each = settings if alone else replace(settings, threads=max(1, settings.threads // jobs))

    if alone:
        for member in waiting:

            def tell(record: EpochRecord, name: str = member.name) -> None:
                epochs[name] = record.epoch
                progress(sum(epochs.values()), total, name)

            _check(train_member(folder, member, each, source, tell))
        return
    tasks = [(folder, member, each, source) for member in waiting]
    for name, state in run_tasks(train_member, tasks, jobs=jobs, ordered=False):
        _check((name, state))
        epochs[name] = next(member.config.epochs for member in members if member.name == name)
        progress(sum(epochs.values()), total, name)


def train_member(
    folder: Path,
    member: Member,
    settings: Settings,
    source: DataSource,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> tuple[str, str]:
    """Train one member in this process; its name, and "finished" or "stopped"."""
    if (folder / STOP).exists():
        return member.name, "stopped"
    run = RunFolder(folder / "runs" / member.name)
    if not run.path.exists():
        run = RunFolder.create(
            settings, member.config, source, folder=run.path, state="stopped", split=member.split
        )  # fmt: skip
    if run.status().state == "finished":
        return member.name, "finished"
    with _watched(run, folder / STOP):
        status = train(run, settings, on_epoch=on_epoch)
    return member.name, status.state


def _check(ended: tuple[str, str]) -> None:
    name, state = ended
    if state == "stopped":
        raise KeyboardInterrupt
    if state != "finished":
        raise RunError(f"{name} ended as {state}; give the same command again to go on.")


def _count_epochs(folder: Path, member: Member) -> int:
    run = RunFolder(folder / "runs" / member.name)
    return min(member.config.epochs, len(run.epochs())) if run.path.exists() else 0


@contextmanager
def _watched(run: RunFolder, stop: Path) -> Iterator[None]:
    """Stop the run when the experiment is asked to stop, or when the process that started this one has gone.

    A worker whose parent was killed would train on by itself, unseen, and keep who resumes from the run.
    """
    parent, over = os.getppid(), threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            if os.getppid() != parent or stop.exists():
                run.ask_to_stop()
                return

    watcher = threading.Thread(target=watch, name=f"watch {run.name}", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
