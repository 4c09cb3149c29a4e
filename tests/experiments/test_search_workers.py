"""Workers in processes of their own: one is killed and nothing is lost; Ctrl-C stops them all and the search goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from core.data.phantom import PhantomConfig, make_phantom
from core.errors import MGMTLabError
from core.experiments.search import find_search
from core.experiments.search_claim import workers_alive
from core.experiments.search_result import SearchResult, read_result
from core.settings import PROJECT_ROOT, Settings
from core.training.launch import process_environment
from core.training.run import RunFolder

SMALL = ("--set", "weights=none", "--set", "size_px=32", "--set", "slice_count=1", "--set", "sequences=FLAIR",
         "--set", "epochs=4", "--space", "learning_rate=1e-4..1e-2:log", "--pruner", "none", "--sampler", "random")  # fmt: skip


def start(settings: Settings, data: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "core", "search", str(data), *SMALL, "--name", "mine", *more],
        cwd=PROJECT_ROOT,
        env=process_environment(settings, 1),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A shell that starts the tests in the background has them, and what they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)


def result_of(settings: Settings) -> SearchResult | None:
    try:
        return read_result(find_search(settings, "mine"), settings)
    except MGMTLabError:
        return None


def epochs_of(settings: Settings) -> int:
    return sum(len(RunFolder(path).epochs()) for path in settings.runs.glob("mine-*"))


@pytest.mark.slow
def test_a_worker_that_is_killed_and_a_search_that_is_stopped_lose_nothing(settings: Settings, tmp_path: Path) -> None:
    data = tmp_path / "cohort"
    make_phantom(data, PhantomConfig(studies=12, slices=4, size=32), jobs=1)
    search = start(settings, data, "--trials", "4", "--parallel", "2")
    wait_until(lambda: epochs_of(settings) >= 1)
    workers = psutil.Process(search.pid).children()
    assert len(workers) == 2
    os.kill(workers[0].pid, signal.SIGKILL)
    wait_until(lambda: (found := result_of(settings)) is not None and found.count("finished") >= 1)
    search.send_signal(signal.SIGINT)
    assert search.wait(300) == 130
    assert workers_alive(settings.experiments / "mine") == 0
    stopped = result_of(settings)
    assert stopped is not None
    assert stopped.count("running") == 0
    again = start(settings, data, "--trials", "4")
    assert again.wait(300) == 0
    found = result_of(settings)
    assert found is not None
    assert [(row.state, row.epochs) for row in found.trials] == [("finished", 4)] * 4
    assert len({row.run for row in found.trials}) == 4
    assert {path.name for path in settings.runs.glob("mine-*")} == {row.run for row in found.trials}
