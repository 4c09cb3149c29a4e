"""The queue with real processes: a worker, trainers, a SIGKILL."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from core.jobs.process import process_environment
from core.jobs.queue import request_stop, resume, submit, worker_lock
from core.jobs.worker import serve
from core.models.checkpoint import load_model
from core.runs.folder import RunFolder, list_runs
from core.runs.lock import hold_lock, is_locked
from core.runs.records import DataSource
from core.settings import PROJECT_ROOT, Settings
from core.training.trainer import run_training
from tests.training.tiny import finished_epochs, tiny_config

PATIENCE_SECONDS = 240


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def find_trainer(run: RunFolder) -> psutil.Process:
    return next(
        process
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] and process.info["cmdline"][-1] == str(run.path)
    )


@pytest.fixture
def nothing_left_behind(settings: Settings) -> Iterator[None]:
    """A test that fails halfway leaves a worker and a trainer; they are asked to stop."""
    yield
    for entry in list_runs(settings):
        if entry.status.state in ("queued", "running"):
            request_stop(entry.run)


@pytest.mark.usefixtures("nothing_left_behind")
def test_queue_kill_and_resume(settings: Settings, source: DataSource) -> None:
    options = ("architecture=resnet18", "optimiser=sgd", "sequences=FLAIR")  # Trainers do not know the tiny network.
    long, short = tiny_config(*options, "epochs=4"), tiny_config(*options, "epochs=1")
    first = submit(settings, long, source, name="first")
    second = submit(settings, short, source, name="second")
    assert submit(settings, long, source) == first
    wait_for(lambda: len(first.epochs()) >= 1)
    assert first.status().state == "running"
    assert second.status().state == "queued"

    find_trainer(first).kill()
    wait_for(lambda: not first.is_alive())
    assert first.status().state == "interrupted"
    before = len(first.epochs())
    assert 1 <= before < 4

    resume(first, settings)
    wait_for(lambda: first.status().state == "finished")
    assert second.status().state == "finished"
    assert str(second.status().finished) < str(first.status().finished)
    wait_for(lambda: not is_locked(worker_lock(settings)))

    whole = run_training(settings, long, source, name="whole")
    assert finished_epochs(first.path) == finished_epochs(whole.path)
    assert "resumed in epoch" in first.log_tail()
    weights = [load_model(run.checkpoint)[0].state_dict() for run in (first, whole)]
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)


def test_a_trainer_that_cannot_start_does_not_block_the_queue(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.create(settings, tiny_config(), source)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    serve(settings)
    assert run.status().state == "failed"
    assert "ended with code 1 before it began" in run.status().message


KILLED_TRAINER = """#!{python}
import os, sys
from pathlib import Path
sys.path.insert(0, {project!r})
from core.runs.folder import RunFolder
run = RunFolder(Path(sys.argv[3]))
run.write_status(run.status().model_copy(update={{"state": "running"}}))
Path({counter!r}).write_text("nr_free_pages 7\\noom_kill {after}\\n")
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("after", "state"), [(4, "failed"), (3, "interrupted")])
def test_a_trainer_that_the_system_ended_for_memory_is_told_from_one_that_was_killed(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: int, state: str
) -> None:
    counter = tmp_path / "vmstat"
    counter.write_text("nr_free_pages 7\noom_kill 3\n")
    monkeypatch.setattr("core.training.memory.LINUX_EVENTS", counter)
    trainer = tmp_path / "trainer"
    trainer.write_text(
        KILLED_TRAINER.format(python=sys.executable, project=str(PROJECT_ROOT), counter=str(counter), after=after)
    )
    trainer.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(trainer))
    run = RunFolder.create(settings, tiny_config(), source)
    serve(settings)
    assert run.status().state == state
    assert ("memory ran out" in run.status().message) == (state == "failed")


def test_a_second_worker_goes_at_once(settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.create(settings, tiny_config(), source)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with hold_lock(worker_lock(settings), "busy"):
        serve(settings)
    assert run.status().state == "queued"


def test_a_trainer_that_outlived_its_worker_is_waited_for(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = RunFolder.create(settings, tiny_config(), source, name="orphan", state="running")
    waiting = RunFolder.create(settings, tiny_config("seed=1"), source, name="waiting")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    states: list[str] = []

    def let_the_orphan_finish(trainers: Sequence[object], seconds: float) -> None:
        if not trainers:
            states.append(waiting.status().state)
        orphan.write_status(orphan.status().model_copy(update={"state": "finished"}))

    with orphan.lock():
        monkeypatch.setattr("core.jobs.worker._wait", let_the_orphan_finish)
        serve(settings)
    assert states == ["queued"]
    assert waiting.status().state == "failed"


def test_a_run_deleted_from_under_the_worker_is_no_bother(settings: Settings, source: DataSource) -> None:
    from core.jobs.worker import _start

    run = RunFolder.create(settings, tiny_config(), source)
    for path in run.path.iterdir():
        path.unlink()
    run.path.rmdir()
    assert _start(run, settings) is None
    assert not run.path.exists()


def start(module: str, settings: Settings, *arguments: str) -> subprocess.Popen[bytes]:
    """A process of ours as the app starts it, on one thread."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=PROJECT_ROOT, env=process_environment(settings, 1)
    )


def count_starts(run: RunFolder) -> int:
    return run.log_file.read_text().count("12 studies, 12 labelled")


@pytest.mark.usefixtures("nothing_left_behind")
def test_two_servers_start_each_run_once_and_two_train_side_by_side_where_asked(
    settings: Settings, source: DataSource
) -> None:
    settings = replace(settings, jobs=2, threads=2)
    options = ("architecture=resnet18", "optimiser=sgd", "sequences=FLAIR", "epochs=1")
    runs = [RunFolder.create(settings, tiny_config(*options, f"seed={seed}"), source) for seed in range(3)]
    workers = [start("core.jobs.worker", settings) for _ in range(2)]
    assert [worker.wait(PATIENCE_SECONDS) for worker in workers] == [0, 0]
    assert [count_starts(run) for run in runs] == [1, 1, 1]
    statuses = [run.status() for run in runs]
    assert [status.state for status in statuses] == ["finished"] * 3
    assert str(statuses[1].started) < str(statuses[0].finished)
    assert str(statuses[2].started) > min(str(status.finished) for status in statuses[:2])
    assert runs[0].environment()["threads"] == 1


def test_two_trainers_on_one_run_train_it_once(settings: Settings, source: DataSource) -> None:
    options = ("architecture=resnet18", "optimiser=sgd", "sequences=FLAIR", "epochs=1")
    run = RunFolder.create(settings, tiny_config(*options), source)
    trainers = [start("core.training.trainer", settings, str(run.path)) for _ in range(2)]
    assert {trainer.wait(PATIENCE_SECONDS) for trainer in trainers} <= {0, 2}
    assert (run.status().state, count_starts(run), len(run.epochs())) == ("finished", 1, 1)
    assert "resumed" not in run.environment()
