"""An experiment's folder: its question, its state, and a process of its own that stops when asked and is resumed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from core.config import RunConfig, apply_settings
from core.errors import ConfigError, HostedModeError, RunBusyError, RunError
from core.experiments.controls.optimism import KIND, OptimismParameters
from core.jobs import experiment as experiment_module
from core.jobs.experiment import (
    Experiment,
    Question,
    RunOptions,
    StoredProgress,
    list_experiments,
    make_question,
    start_experiment,
)
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.runs.folder import RunFolder
from core.runs.lock import hold_lock
from core.runs.records import DataSource
from core.settings import Settings, load_settings
from tests.phantoms import copy_phantom

CONFIG = apply_settings(
    find_preset("honest").config,
    ("weights=none", "size_px=32", "slice_count=1", "sequences=FLAIR", "epochs=1"),
)
SOURCE = DataSource(root="/data", identity="/data/same.csv", assign=(("1.2.3", "FLAIR"),))  # type: ignore[arg-type]


def question(config: RunConfig = CONFIG, source: DataSource = SOURCE, seeds: int = 3) -> Question:
    return make_question(KIND, OptimismParameters(seeds=seeds), config, source)


def wait_until(condition: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Nothing is started; the calls are noted."""
    start = Mock()
    monkeypatch.setattr(experiment_module, "start_detached", start)
    return start


@pytest.mark.slow
def test_an_experiment_stops_when_asked_and_is_resumed(settings: Settings, tmp_path: Path) -> None:
    copy_phantom(tmp_path / "cohort", PhantomConfig(studies=16, slices=4, size=32))
    asked = question(source=DataSource(root=str(tmp_path / "cohort")))
    experiment = start_experiment(settings, "mine", asked, RunOptions())
    assert experiment.status().state == "running"
    with pytest.raises(RunBusyError, match="being worked on"):
        start_experiment(settings, "mine", asked, RunOptions())
    wait_until(lambda: experiment.status().done >= 1)
    experiment.stop()
    wait_until(lambda: experiment.status().state != "running")
    assert experiment.status().state == "stopped"
    start_experiment(settings, "mine", asked, RunOptions())
    wait_until(lambda: experiment.status().state == "finished")
    assert experiment.status().done == 3


def test_the_question_is_written_before_its_process_is_started(settings: Settings, started: Mock) -> None:
    experiment = start_experiment(settings, "mine", question(), RunOptions(parallel=2))
    started.assert_called_once_with(
        "core.cli.questions", str(experiment.folder), settings=settings, log=experiment.folder / "log.txt"
    )
    written = experiment.question()
    assert written.model_copy(update={"created": ""}) == question()
    assert (written.source.identity, written.source.assign) == (SOURCE.identity, SOURCE.assign)
    assert OptimismParameters(**written.parameters).seeds == 3
    assert experiment.options() == RunOptions(parallel=2)
    assert experiment.status().state == "running"
    assert [found.name for found in list_experiments(settings, KIND)] == ["mine"]
    assert list_experiments(settings, "search") == []


def test_a_folder_says_how_far_it_is(settings: Settings) -> None:
    experiment = Experiment(settings.experiments / "mine")
    assert experiment.status().state == "none"
    experiment.folder.mkdir(parents=True)
    (experiment.folder / "started").write_text("")
    (experiment.folder / "log.txt").write_text("trainings  1/5\nerror: the disk is full\n\n")
    assert experiment.status().state == "stopped"
    assert experiment.status().message == "error: the disk is full"
    with hold_lock(experiment.folder / ".lock", "busy"):
        assert experiment.status().state == "running"
    experiment.write_result({"sentence": "found"})
    assert experiment.status().state == "finished"


def test_an_error_of_an_earlier_time_does_not_hide_that_it_was_started_again(settings: Settings, started: Mock) -> None:
    experiment = start_experiment(settings, "mine", question(), RunOptions())
    log = experiment.folder / "log.txt"
    log.write_text("error: the disk is full\n")
    for path, age in ((experiment.folder / "started", 60), (log, 30)):
        os.utime(path, (time.time() - age, time.time() - age))
    assert experiment.status().state == "stopped"
    start_experiment(settings, "mine", question(), RunOptions())
    assert experiment.status().state == "running"


def test_a_name_belongs_to_its_question_once_a_member_was_made(settings: Settings) -> None:
    first = Experiment.ask(settings, "mine", question())
    experiment = Experiment.ask(settings, "mine", question(seeds=2))
    assert experiment == first
    assert experiment.question().parameters == {"seeds": 2}
    RunFolder.create(settings, CONFIG, SOURCE, folder=experiment.runs / "seed-00", state="stopped")
    Experiment.ask(settings, "mine", question(seeds=2))
    with pytest.raises(ConfigError, match="another question"):
        Experiment.ask(settings, "mine", question(seeds=3))
    with pytest.raises(ConfigError, match="another question"):
        Experiment.ask(settings, "mine", question(CONFIG.model_copy(update={"seed": 1}), seeds=2))
    with pytest.raises(ConfigError, match="cannot name an experiment"):
        Experiment.ask(settings, "../mine", question())


def test_a_request_to_stop_is_taken_back_by_asking_again_unless_it_runs(settings: Settings) -> None:
    experiment = Experiment.ask(settings, "mine", question())
    experiment.stop()
    with hold_lock(experiment.folder / ".lock", "busy"):
        Experiment.ask(settings, "mine", question())
        assert experiment.status().stopping
    Experiment.ask(settings, "mine", question())
    assert not experiment.stop_file.exists()


def test_folders_of_older_versions_are_read(settings: Settings) -> None:
    folder = settings.experiments / "old"
    folder.mkdir(parents=True)
    config: dict[str, Any] = CONFIG.model_dump(mode="json")
    del config["micro_batches"]  # A setting that is newer than the folder.
    content = {"kind": "search", "parameters": {"space": ["seed=1,2"]}, "config": config, "source": {"root": "/data"}}
    (folder / "question.json").write_text(json.dumps({**content, "created": "2026-01-01T00:00:00+00:00"}))
    (folder / "trials.txt").write_text("12")
    (folder / "search-result.json").write_text(json.dumps({"wanted": 12}))
    (experiment,) = list_experiments(settings, "search")
    assert experiment.question().config == CONFIG
    assert experiment.options() == RunOptions(count=12)
    assert experiment.result() == {"wanted": 12}
    assert experiment.status().state == "finished"


def test_a_damaged_question_is_said(settings: Settings) -> None:
    experiment = Experiment.ask(settings, "mine", question())
    (experiment.folder / "question.json").write_text('{"kind": "opti')
    assert list_experiments(settings, KIND) == []
    with pytest.raises(RunError, match="damaged"):
        experiment.question()


def test_the_password_of_a_storage_is_not_written(settings: Settings) -> None:
    experiment = Experiment.ask(settings, "mine", question())
    options = RunOptions(count=3, storage="postgresql://anna:secret@db/sweeps")
    experiment.write_options(options)
    assert "secret" not in repr(options)
    assert not any(b"secret" in path.read_bytes() for path in experiment.folder.iterdir())


def test_a_demo_starts_none(tmp_path: Path, started: Mock) -> None:
    hosted = load_settings({"MGMT_LAB_HOME": str(tmp_path), "MGMT_LAB_MODE": "hosted"})
    with pytest.raises(HostedModeError):
        start_experiment(hosted, "mine", question(), RunOptions())
    started.assert_not_called()


def test_a_demo_gives_so_many_tests_at_once(tmp_path: Path, started: Mock) -> None:
    """Each is a process that waits, and then holds the queue."""
    hosted = replace(
        load_settings({"MGMT_LAB_HOME": str(tmp_path), "MGMT_LAB_MODE": "hosted"}), hosted_runs=2, hosted_queue=3
    )

    def start(name: str, owner: str) -> None:
        start_experiment(hosted, name, question(), RunOptions(owner=owner), trains=False)

    start("one", "a")
    start("two", "a")
    with pytest.raises(HostedModeError, match=r"2 of your tests are worked on.*30 minutes at most"):
        start("three", "a")
    start("three", "b")
    with pytest.raises(HostedModeError, match="3 tests of all visitors are worked on"):
        start("four", "c")
    assert not (hosted.experiments / "four").exists()
    Experiment(hosted.experiments / "one").write_result({"sentence": "nothing"})
    start("four", "a")
    assert started.call_count == 4


def test_a_test_ends_when_the_time_is_over_that_a_demo_gives_it(settings: Settings) -> None:
    experiment = Experiment.ask(settings, "mine", question())
    with pytest.raises(HostedModeError, match="time is over"):
        StoredProgress(experiment, "shuffling", ends=time.monotonic() - 1)(1, 9)
    StoredProgress(experiment, "shuffling", ends=time.monotonic() + 60)(1, 9)
