"""An experiment in a process of its own: it is started once, stops when asked, and goes on to the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import HostedModeError, RunBusyError
from core.jobs.background import read_experiment_status, start_experiment, stop_experiment
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.runs.lock import hold_lock
from core.settings import Settings, load_settings

COMMAND = ("--preset", "honest", "--set", "weights=none", "--set", "size_px=32", "--set", "slice_count=1",
           "--set", "sequences=FLAIR", "--set", "epochs=1")  # fmt: skip


def wait_until(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


@pytest.mark.slow
def test_an_experiment_stops_when_asked_and_goes_on(settings: Settings, tmp_path: Path) -> None:
    make_phantom(tmp_path / "cohort", PhantomConfig(studies=16, slices=4, size=32), jobs=1)
    command = ["optimism", str(tmp_path / "cohort"), *COMMAND, "--seeds", "3"]
    start_experiment(settings, "mine", command)
    assert read_experiment_status(settings, "mine").state == "running"
    with pytest.raises(RunBusyError, match="being worked on"):
        start_experiment(settings, "mine", command)
    wait_until(lambda: read_experiment_status(settings, "mine").done >= 1)
    stop_experiment(settings, "mine")
    wait_until(lambda: read_experiment_status(settings, "mine").state != "running")
    assert read_experiment_status(settings, "mine").state == "stopped"
    start_experiment(settings, "mine", command)
    wait_until(lambda: read_experiment_status(settings, "mine").state == "finished")
    assert read_experiment_status(settings, "mine").done == 3


def test_a_folder_says_how_it_stands(settings: Settings) -> None:
    assert read_experiment_status(settings, "mine").state == "none"
    folder = settings.experiments / "mine"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("trainings  1/5\nerror: the disk is full\n\n")
    (folder / "started").write_text("")
    assert read_experiment_status(settings, "mine").state == "stopped"
    assert read_experiment_status(settings, "mine").message == "error: the disk is full"
    with hold_lock(folder / ".lock", "busy"):
        assert read_experiment_status(settings, "mine").state == "running"
    (folder / "result.json").write_text("{}")
    assert read_experiment_status(settings, "mine").state == "finished"


def test_a_demo_starts_none(tmp_path: Path) -> None:
    hosted = load_settings({"MGMT_LAB_HOME": str(tmp_path), "MGMT_LAB_MODE": "hosted"})
    with pytest.raises(HostedModeError):
        start_experiment(hosted, "mine", ["optimism", "x"])
