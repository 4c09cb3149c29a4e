"""One training of an experiment, and many of them at the same time: finished ones are kept, the others resumed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.config import RunConfig
from core.dataset.split import Split
from core.errors import RunError
from core.parallel import on_cluster, run_tasks
from core.progress import Progress, silent
from core.runs.folder import RunFolder, with_absolute_paths
from core.runs.records import DataSource, EpochRecord, RunStatus
from core.settings import Settings

WATCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One training of an experiment."""

    folder: Path
    """The run's."""
    config: RunConfig
    source: DataSource
    split: Split | None = None
    """None: the trainer draws it, as the configuration says."""
    stop_file: Path | None = None
    """While this file is there, nothing is trained; it appears when somebody stops the experiment."""
    owner: str = ""
    note: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    """More files of the run's folder, by name."""

    @property
    def run(self) -> RunFolder:
        """The run; its folder may not exist yet."""
        return RunFolder(self.folder)


def open_member(member: Member, settings: Settings) -> RunFolder:
    """Return a member's run; its folder is made with its split and everything else in one step, or not at all.

    Raises
    ------
    RunError
        The folder holds a run of another configuration, other data or another split.
    """
    run = member.run
    if not run.path.exists():
        return RunFolder.create(
            settings, member.config, member.source, run.name, member.owner, member.note,
            folder=run.path, state="stopped", split=member.split, files=member.files,
        )  # fmt: skip
    if (run.config, run.source) != with_absolute_paths(member.config, member.source):
        raise RunError(f"{run.path} is a run of another configuration or other data; choose another name with --name.")
    # An older version could be killed between making the folder and writing the split.
    if member.split is not None and (not (run.path / "split.json").exists() or run.split() != member.split):
        raise RunError(f"{run.path} has another split than the experiment gives it; delete that folder, then resume.")
    return run


def train_member(
    member: Member,
    settings: Settings,
    on_status: Callable[[RunStatus], None] = lambda status: None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
    *,
    watch_parent: bool = False,
) -> RunStatus:
    """Train a member in this process and return how it ended; a finished one is kept, any other is resumed.

    Parameters
    ----------
    member, settings
        What is trained; where the cache lies, and how many threads may be used.
    on_status, on_epoch
        As in :func:`core.training.trainer.train`.
    watch_parent
        Stop also when the process that started this one has ended: a worker of a pool whose parent was killed would
        train on unseen, and hold the run's lock.

    Raises
    ------
    RunBusyError
        Another process trains it.
    MGMTLabError
        As :func:`open_member`, and what keeps it from being trained.
    """
    from core.training.trainer import train

    if member.stop_file is not None and member.stop_file.exists():
        return RunStatus(state="stopped")
    run = open_member(member, settings)
    status = run.status()
    if status.state == "finished":
        return status
    if member.stop_file is not None:
        run.clear_stop()  # Of an earlier time; a request that comes now leaves the experiment's file, too.

    def follow(record: EpochRecord) -> None:
        on_epoch(record)
        if member.stop_file is not None and member.stop_file.exists():
            run.ask_to_stop()

    with _stop_when_asked(run, member.stop_file, watch_parent=watch_parent):
        return train(run, settings, on_status=on_status, on_epoch=follow)


def train_members(
    members: Sequence[Member],
    settings: Settings,
    *,
    jobs: int = 1,
    progress: Progress = silent,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> Iterator[Member]:
    """Train every member to its end, and yield each when it is finished, those that were finished before first.

    Parameters
    ----------
    members, settings
        What is trained. The threads are shared out among the jobs.
    jobs
        Trainings at the same time, in processes of this machine or, inside :func:`core.parallel.dask_cluster`, of a
        cluster, whose workers see the same folders.
    progress
        Called with epochs finished, of all members together.
    on_epoch
        Called with each epoch that is trained in this process.

    Raises
    ------
    KeyboardInterrupt
        Somebody stopped the experiment; every member can be resumed.
    RunBusyError
        Another process trains a member.
    MGMTLabError
        What kept a member from being trained.
    """
    total = sum(member.config.epochs for member in members)
    epochs = {member.folder: _count_epochs(member) for member in members}
    finished = [member for member in members if member.run.status().state == "finished"]
    waiting = [member for member in members if member not in finished]
    progress(sum(epochs.values()), total, "")
    for member in finished:
        open_member(member, settings)
        yield member
    jobs = min(jobs, max(1, len(waiting)))
    if jobs == 1 and not on_cluster():
        for member in waiting:

            def report(record: EpochRecord, member: Member = member) -> None:
                epochs[member.folder] = record.epoch
                progress(sum(epochs.values()), total, member.run.name)
                on_epoch(record)

            _require_finished(member, train_member(member, settings, on_epoch=report))
            yield member
        return
    each = replace(settings, threads=max(1, settings.threads // jobs))
    for member, status in run_tasks(_train_in_pool, [(member, each) for member in waiting], jobs=jobs, ordered=False):
        _require_finished(member, status)
        epochs[member.folder] = member.config.epochs
        progress(sum(epochs.values()), total, member.run.name)
        yield member


def _train_in_pool(member: Member, settings: Settings) -> tuple[Member, RunStatus]:
    return member, train_member(member, settings, watch_parent=True)


def _require_finished(member: Member, status: RunStatus) -> None:
    if status.state == "stopped":
        raise KeyboardInterrupt
    if status.state != "finished":
        raise RunError(f"{member.run.name} ended as {status.state}: {status.message}")


def _count_epochs(member: Member) -> int:
    return min(member.config.epochs, len(member.run.epochs()))


@contextmanager
def _stop_when_asked(run: RunFolder, stop_file: Path | None, *, watch_parent: bool) -> Iterator[None]:
    """Leave the run's own stop file as soon as the experiment's appears or, with `watch_parent`, the parent ends."""
    if stop_file is None and not watch_parent:
        yield
        return
    parent, ended = os.getppid(), threading.Event()

    def watch() -> None:
        while not ended.wait(WATCH_SECONDS):
            if (stop_file is not None and stop_file.exists()) or (watch_parent and os.getppid() != parent):
                run.ask_to_stop()
                return

    watcher = threading.Thread(target=watch, name=f"watch {run.name}", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
