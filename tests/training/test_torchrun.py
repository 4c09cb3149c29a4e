"""The command line under torchrun: one run, led by process 0; stopped, killed and resumed as a whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from core.cli.main import main
from core.errors import ConfigError, RunError
from core.jobs.queue import mark_queued
from core.models.checkpoint import load_model
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import PROJECT_ROOT, Settings
from core.training.environment import describe_command
from core.training.repeat import plan_from
from core.training.torchrun import asked_size, check_launcher, is_follower, resume_command
from core.training.trainer import train
from tests.training.tiny import TINY, finished_epochs, tiny_config

TORCHRUN = {
    "RANK": "1",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "2",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "a",
    "MASTER_PORT": "1",
}
PATIENCE_SECONDS = 600
"""For each wait, on a busy machine; none is a measurement."""


def test_what_torchrun_says() -> None:
    assert (asked_size({}), is_follower({})) == (1, False)
    assert (asked_size(TORCHRUN), is_follower(TORCHRUN)) == (2, True)
    assert not is_follower(TORCHRUN | {"RANK": "0"})
    check_launcher(TORCHRUN)
    check_launcher({})
    with pytest.raises(ConfigError, match="'two', not a number of processes"):
        asked_size({"WORLD_SIZE": "two"})
    with pytest.raises(
        ConfigError, match="WORLD_SIZE is 2, but LOCAL_WORLD_SIZE, RANK are not set; start with torchrun"
    ):
        check_launcher({name: value for name, value in TORCHRUN.items() if name not in ("RANK", "LOCAL_WORLD_SIZE")})


def test_a_launcher_that_starts_one_process_of_several_is_refused(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As accelerate launch --cpu --num_processes 2 leaves the environment."""
    monkeypatch.setenv("MGMT_LAB_HOME", str(settings.home))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert main(["train", source.root, *(word for setting in TINY for word in ("--set", setting))]) == 2
    assert "this one would train alone" in capsys.readouterr().err
    assert not settings.runs.exists()


def test_other_commands_are_not_done_twice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert main(["runs", "list"]) == 2
    assert "Under torchrun there are only train and runs resume" in capsys.readouterr().err


def test_the_queue_is_not_for_several_processes(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder.create(settings, tiny_config(), source, name="two", state="running")
    (run.path / "environment.json").write_text('{"world_size": 2}')
    with pytest.raises(RunError, match=r"begun by 2 processes, .*torchrun --nproc_per_node 2 -m core runs resume"):
        mark_queued(run)
    with pytest.raises(RunError, match=r"two was begun by 2 processes, and here is 1; .*torchrun --nproc_per_node 2"):
        train(run, settings)
    assert run.status().state == "interrupted"  # as before: nothing has been tried
    for name, value in {**TORCHRUN, "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert main(["train", source.root, "--queue", "--set", "architecture=tiny"]) == 2
    assert "leave out --queue" in capsys.readouterr().err


def test_a_repetition_in_another_number_of_processes_says_so(settings: Settings, source: DataSource) -> None:
    run = RunFolder.create(settings, tiny_config("micro_batches=3"), source, name="two", state="running")
    (run.path / "environment.json").write_text('{"world_size": 2}')
    assert plan_from(run).differences == (
        "2 processes shared its batches then, 1 now (one computes the same with micro_batches=6)",
    )
    (run.path / "environment.json").write_text('{"world_size": 1}')
    assert plan_from(run).differences == ()
    command = describe_command(run.config, source, threads=3, processes=2)
    assert command.startswith("torchrun --nproc_per_node 2 -m core train ")
    assert command.endswith("--jobs 6")  # shared out again among the two


def test_how_to_go_on() -> None:
    assert resume_command("/runs/a", 1) == "python -m core runs resume /runs/a"
    assert resume_command("/runs/a", 3) == "torchrun --nproc_per_node 3 -m core runs resume /runs/a"


class Launch(subprocess.Popen[str]):
    """A process whose words go to files: a pipe stays open for as long as any worker of its workers lives."""

    def __init__(self, command: list[str], out: IO[str], err: IO[str], **options: Any) -> None:
        self.out, self.err = out, err
        super().__init__(command, text=True, stdout=out, stderr=err, **options)

    def finish(self) -> tuple[str, str]:
        """Wait for its end, and return what it said on standard output and standard error."""
        self.wait(PATIENCE_SECONDS)
        return self.said(self.out), self.said(self.err)

    @staticmethod
    def said(file: IO[str]) -> str:
        file.seek(0)
        return file.read()


@contextmanager
def torchrun(settings: Settings, *arguments: str) -> Iterator[Launch]:
    """Start the command line with the tiny network in two processes; nothing of it outlives the block."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "--"]
    environment = {**os.environ, "MGMT_LAB_HOME": str(settings.home), "MGMT_LAB_THREADS": "2", "OMP_NUM_THREADS": "1"}
    command += ["tests.training.tiny_cli", *arguments]
    with (
        tempfile.TemporaryDirectory() as temporary,  # where torchrun leaves its own logs
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        environment["TMPDIR"] = temporary
        process = Launch(command, out, err, cwd=PROJECT_ROOT, env=environment)
        try:
            yield process
        finally:
            living = [*psutil.Process(process.pid).children(recursive=True), process] if process.poll() is None else []
            for one in living:
                one.kill()
            process.finish()


def train_words(source: DataSource, name: str, epochs: int) -> list[str]:
    settings = [*TINY, "precision=float32", f"epochs={epochs}"]
    return ["train", source.root, "--run", name, "--json", *(word for one in settings for word in ("--set", one))]


def wait_until(happened: Callable[[], bool], process: Launch) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert process.poll() is None, process.said(process.err)[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pid_of_rank(process: Launch, rank: int) -> int:
    (found,) = [
        child.pid for child in psutil.Process(process.pid).children() if child.environ().get("RANK") == str(rank)
    ]
    return found


@pytest.mark.slow
def test_one_run_of_two_processes_stopped_resumed_and_whole(settings: Settings, source: DataSource) -> None:
    with torchrun(settings, *train_words(source, "whole", 40)) as process:
        out, err = process.finish()
    assert process.returncode == 0, err[-3000:]
    whole = RunFolder(settings.runs / "whole")
    assert json.loads(out)["state"] == whole.status().state == "finished"
    environment = whole.environment()
    assert (environment["world_size"], environment["threads"]) == (2, 1)
    assert [entry.name for entry in settings.runs.iterdir() if not entry.name.startswith(".")] == ["whole"]

    broken = RunFolder(settings.runs / "broken")
    with torchrun(settings, *train_words(source, "broken", 40)) as process:
        wait_until(lambda: len(broken.epochs()) > 1, process)
        broken.ask_to_stop()
        out, err = process.finish()
    assert json.loads(out)["state"] == broken.status().state == "stopped", err[-3000:]
    with pytest.raises(RunError, match="begun by 2 processes"):
        train(broken, settings)
    with torchrun(settings, "runs", "resume", "broken", "--json") as process:
        out, err = process.finish()
    assert json.loads(out)["state"] == broken.status().state == "finished", err[-3000:]
    assert finished_epochs(broken.path) == finished_epochs(whole.path)
    assert broken.predictions().equals(whole.predictions())


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_as_failed_with_a_clear_word(settings: Settings, source: DataSource) -> None:
    run = RunFolder(settings.runs / "lost")
    with torchrun(settings, *train_words(source, "lost", 5000)) as process:
        wait_until(lambda: len(run.epochs()) > 1, process)
        os.kill(pid_of_rank(process, 1), signal.SIGKILL)
        process.finish()
    assert process.returncode != 0
    assert run.status().state == "failed"
    # On its standard error it may not stand: torchrun ends the other processes as soon as it sees that one is gone.
    assert "Of the 2 training processes another is gone" in run.status().message
    assert run.checkpoint.exists()


@pytest.mark.slow
def test_a_killed_leader_leaves_a_run_to_resume(settings: Settings, source: DataSource) -> None:
    run = RunFolder(settings.runs / "headless")
    with torchrun(settings, *train_words(source, "headless", 12)) as process:
        wait_until(lambda: len(run.epochs()) > 1, process)
        os.kill(pid_of_rank(process, 0), signal.SIGKILL)
        process.finish()
    assert run.status().state == "interrupted"
    with torchrun(settings, "runs", "resume", "headless") as process:
        process.finish()
    assert run.status().state == "finished"
    assert [record.epoch for record in run.epochs()] == list(range(1, 13))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_torchrun_stops_all_at_a_batch(
    settings: Settings, source: DataSource, number: signal.Signals
) -> None:
    run = RunFolder(settings.runs / "signalled")
    with torchrun(settings, *train_words(source, "signalled", 5000)) as process:
        wait_until(lambda: len(run.epochs()) > 1, process)
        process.send_signal(number)
        process.finish()
    assert run.status().state == "stopped"
    assert run.resume_file.exists()


@pytest.mark.slow
def test_a_failure_of_the_leader_ends_all(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with torchrun(settings, *train_words(DataSource(root=str(tmp_path / "empty")), "empty", 2)) as process:
        _, err = process.finish()
    assert process.returncode != 0
    assert RunFolder(settings.runs / "empty").status().state == "failed"
    assert "Traceback" not in RunFolder(settings.runs / "empty").log_tail()
    assert "Another training process failed" in err


@pytest.mark.slow
def test_a_first_stage_is_trained_by_the_leader_and_shared(settings: Settings, source: DataSource) -> None:
    small = ("size_px=32", "slice_count=8", "grid_mm=8", "batch_size=4", "epochs=1", "mask_epochs=1", "device=cpu")
    words = ["train", source.root, "--preset", "two-stage", "--run", "masks"]
    with torchrun(settings, *words, *(word for one in small for word in ("--set", one))) as process:
        _, err = process.finish()
    run = RunFolder(settings.runs / "masks")
    assert run.status().state == "finished", err[-3000:]
    assert run.environment()["world_size"] == 2
    assert json.loads((run.path / "segmentation.json").read_text())["n"] > 0
    assert bool(load_model(run.checkpoint)[0].state_dict()["stage_one_trained"])
    assert run.log_tail().count("first stage, epoch 1/1") == 1
