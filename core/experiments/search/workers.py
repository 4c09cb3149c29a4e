"""The workers of a search: one in this process, or several in processes of their own; and how they are stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from core.errors import MGMTLabError, RunBusyError, RunError
from core.experiments.search.claim import counted_trials, workers_alive
from core.experiments.search.search import WANTED, Search, find_search
from core.experiments.search.storage import PASSWORD_VARIABLE
from core.experiments.search.worker import run_worker
from core.files import write_atomic
from core.jobs.foreground import STOP
from core.jobs.process import process_environment
from core.jobs.queue import hold_queue
from core.progress import Progress
from core.runs.folder import RunFolder
from core.runs.lock import hold_lock
from core.runs.records import EpochRecord
from core.settings import PROJECT_ROOT, Settings, load_settings

STOPPED = 130
"""Exit status of a worker that was stopped."""


def conduct_search(
    search: Search,
    settings: Settings,
    *,
    trials: int,
    parallel: int = 1,
    behind_queue: bool = False,
    on_trial: Callable[[int, str], None] = lambda number, how: None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> None:
    """Search until there are so many trials, or until somebody stops it.

    Parameters
    ----------
    search, settings
        The search; where runs live, and how many threads its workers share.
    trials
        How many there are to be in all.
    parallel
        Workers; more than one get a process each, and say on standard error what they do.
    behind_queue
        Wait until the queue of runs is empty, and let no queued run begin meanwhile.
    on_trial, on_epoch
        As in :func:`core.experiments.search.worker.run_worker`; of a worker in this process only.

    Raises
    ------
    KeyboardInterrupt
        It was stopped; the same command goes on.
    MGMTLabError
        What kept it from going on.
    """
    write_atomic(search.folder / WANTED, str(trials))
    if not behind_queue and not workers_alive(search.folder):  # behind the queue it may have been stopped since
        (search.folder / STOP).unlink(missing_ok=True)
    with leading(search.folder), hold_queue(settings) if behind_queue else nullcontext():
        if parallel == 1:
            run_worker(search, settings, trials=trials, on_trial=on_trial, on_epoch=on_epoch)
        else:
            _run_processes(search, settings, trials, parallel)


def stopping_with(folder: Path, progress: Progress) -> Progress:
    """The same progress, but it raises KeyboardInterrupt once somebody has asked the search in `folder` to stop."""

    def report(done: int, total: int, what: str = "") -> None:
        if (folder / STOP).exists():
            raise KeyboardInterrupt
        progress(done, total, what)

    return report


def stop_search(search: Search, settings: Settings) -> None:
    """Ask all workers of this folder to stop: each at its trial's next batch, which can be gone on with."""
    import optuna

    write_atomic(search.folder / STOP, "")
    with suppress(MGMTLabError):  # Without a study there is no trial to stop.
        for trial in search.open_study().get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            run = RunFolder(settings.runs / str(trial.user_attrs.get("run", "")))
            if run.path != settings.runs.resolve() and run.is_alive():
                run.ask_to_stop()


@contextmanager
def leading(folder: Path) -> Iterator[None]:
    """Hold the lock that says that the search goes on; a second call, beside the first or within it, does without."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with suppress(RunBusyError):
            stack.enter_context(hold_lock(folder / ".lock", "The search goes on already.", 0.2))
        yield


def _run_processes(search: Search, settings: Settings, trials: int, parallel: int) -> None:
    threads = max(1, settings.threads // parallel)
    environment = process_environment(replace(settings, threads=threads), threads)
    if search.place.password:
        environment[PASSWORD_VARIABLE] = search.place.password
    reports = [search.folder / "workers" / f"{number}.error" for number in range(parallel)]
    for report in reports:
        report.unlink(missing_ok=True)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "core.experiments.search.workers", search.name, str(trials), str(report)],
            cwd=PROJECT_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches this process alone, which stops them in good order.
        )
        for report in reports
    ]
    with _terminate_as_interrupt():
        try:
            codes = [process.wait() for process in processes]
        except KeyboardInterrupt:
            stop_search(search, settings)
            for process in processes:
                process.wait()
            (search.folder / STOP).unlink(missing_ok=True)
            raise
    if STOPPED in codes:
        raise KeyboardInterrupt
    _explain(search, trials, codes, reports)


def _explain(search: Search, trials: int, codes: list[int], reports: list[Path]) -> None:
    """Raise where workers ended badly and left something undone."""
    ended = [
        trial for trial in counted_trials(search.open_study().get_trials(deepcopy=False)) if trial.state.is_finished()
    ]
    if not any(codes) or len(ended) >= trials:
        return
    said = [report.read_text() for report in reports if report.exists()]
    if said:
        raise RunError(said[0])
    died = sum(code != 0 for code in codes)
    raise RunError(
        f"{died} of {len(codes)} workers of {search.name} died (killed, or out of memory), {len(ended)} of {trials} trials "
        "have ended; the same command goes on, with --parallel 1 if memory is short."
    )


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, so that no worker is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: list[str]) -> int:
    """Be one worker: the search's name, the number of trials, and where to leave the last word if it is a bad one."""
    name, trials, report = arguments
    settings = load_settings()
    try:
        run_worker(
            find_search(settings, name),
            settings,
            trials=int(trials),
            on_trial=lambda number, how: print(f"trial {number} {how}", file=sys.stderr, flush=True),
        )
    except KeyboardInterrupt:
        return STOPPED
    except MGMTLabError as error:
        write_atomic(Path(report), str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
