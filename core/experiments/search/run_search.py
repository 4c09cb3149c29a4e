"""Run a search: with one worker in this process, or several in processes of their own; and evaluate its best trial."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from core.errors import RunError
from core.experiments.search.result import read_result
from core.experiments.search.search import Search, open_search
from core.experiments.search.storage import PASSWORD_VARIABLE
from core.experiments.search.trial_queue import current_trials
from core.experiments.search.worker import STOPPED, run_worker
from core.files import remove_file
from core.jobs.experiment import Display, Experiment, Question, RunOptions
from core.jobs.process import start_detached
from core.progress import Progress, silent
from core.runs.evaluation import Evaluation, read_evaluation
from core.runs.folder import RunFolder
from core.settings import Settings
from core.training.evaluate import evaluate_run


def run_search(
    experiment: Experiment,
    question: Question,
    options: RunOptions,
    settings: Settings,
    display: Display,
) -> dict[str, Any]:
    """Search until there are as many trials as the options ask for, or until somebody stops it.

    A worker in this process tells the display what it does; several, with a process each, write to standard error.

    Returns
    -------
    dict
        As :meth:`core.experiments.search.result.SearchResult.to_dict` gives it.

    Raises
    ------
    KeyboardInterrupt
        It was stopped; the same command resumes it.
    MGMTLabError
        What kept it from going on.
    """
    preparing = _stop_on_request(experiment, display.progress("preparing"))
    search = open_search(experiment, settings, storage=options.storage, progress=preparing)
    if options.parallel == 1:
        run_worker(search, settings, trials=search.wanted, display=display)
    else:
        _run_processes(search, settings, options.parallel)
    return read_result(search, settings).to_dict()


def evaluate_best(search: Search, settings: Settings, progress: Progress = silent) -> tuple[Evaluation, bool]:
    """Evaluate the best trial's run on the test patients, which the ledger counts; a stored evaluation is read instead.

    Returns
    -------
    tuple
        The evaluation, and whether it was made now. Another trial that has become the best is evaluated anew.

    Raises
    ------
    RunError
        No trial has finished, there are no test patients, or the best run is on another host.
    EvaluationError
        The data have changed.
    """
    best = read_result(search, settings).best
    if best is None:
        raise RunError(f"No trial of {search.name} has finished yet; there is nothing to evaluate.")
    if not search.split.test:
        raise RunError(
            f"{search.name} set no test patients apart; evaluate its best run on other data with evaluate --data."
        )
    run = RunFolder(settings.runs / best.run)
    if not run.checkpoint.exists():
        raise RunError(f"The best run, {best.run}, is not on this machine; evaluate it where it was trained.")
    stored = read_evaluation(run, "test")
    return (stored, False) if stored else (evaluate_run(run, "test", settings, progress=progress), True)


def _stop_on_request(experiment: Experiment, progress: Progress) -> Progress:
    """The same progress, but it raises KeyboardInterrupt once somebody has asked the experiment to stop."""

    def report(done: int, total: int, what: str = "") -> None:
        if experiment.stop_file.exists():
            raise KeyboardInterrupt
        progress(done, total, what)

    return report


def _run_processes(search: Search, settings: Settings, parallel: int) -> None:
    threads = max(1, settings.threads // parallel)
    reports = [search.folder / "workers" / f"{number}.error" for number in range(parallel)]
    for report in reports:
        remove_file(report)
    processes = [
        start_detached(
            "core.experiments.search.worker",
            str(search.folder),
            str(report),
            settings=replace(settings, threads=threads),
            threads=threads,
            variables={PASSWORD_VARIABLE: search.place.password} if search.place.password else {},
        )
        for report in reports
    ]
    with _terminate_as_interrupt():
        try:
            codes = [process.wait() for process in processes]
        except KeyboardInterrupt:
            search.experiment.stop()
            for process in processes:
                process.wait()
            remove_file(search.experiment.stop_file)
            raise
    if STOPPED in codes:
        raise KeyboardInterrupt
    _require_enough(search, codes, reports)


def _require_enough(search: Search, codes: list[int], reports: list[Path]) -> None:
    """Raise where workers ended with an error before there were enough trials."""
    trials = current_trials(search.open_study().get_trials(deepcopy=False))
    ended = sum(trial.state.is_finished() for trial in trials)
    if not any(codes) or ended >= search.wanted:
        return
    said = [report.read_text() for report in reports if report.exists()]
    if said:
        raise RunError(said[0])
    died = sum(code != 0 for code in codes)
    raise RunError(
        f"{died} of {len(codes)} workers of {search.name} died (killed, or out of memory), {ended} of {search.wanted} "
        "trials have ended; the same command resumes it, with --parallel 1 if memory is short."
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
