"""A member of an experiment: made in one step, kept when finished, and stopped with the experiment or its parent."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.dataset.split import Split, make_split
from core.dataset.table import build_table
from core.errors import RunError
from core.jobs import member as member_module
from core.jobs.member import Member, open_member, train_member, train_members
from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from tests.training.tiny import tiny_config

CONFIG = tiny_config("epochs=2", "val_fraction=0.3", "test_fraction=0.3")


@pytest.fixture
def split(source: DataSource, settings: Settings) -> Split:
    """Another split than the trainer would draw."""
    cohort = open_cohort(source, settings=settings)
    other = CONFIG.split.model_copy(update={"split_seed": 7})
    return make_split(build_table(cohort, CONFIG.prep, settings), other, cohort.digest)


@pytest.fixture
def member(settings: Settings, source: DataSource, split: Split) -> Member:
    """A member of an experiment."""
    folder = settings.experiments / "mine"
    return Member(
        folder=folder / "runs" / "one", config=CONFIG, source=source, split=split, stop_file=folder / "stop",
        files={"mark.json": "{}"},
    )  # fmt: skip


def test_a_member_is_made_with_its_split_and_its_files_and_trained_on_them(member: Member, settings: Settings) -> None:
    run = open_member(member, settings)
    assert run.split() == member.split
    assert (run.path / "mark.json").read_text() == "{}"
    assert run.status().state == "stopped"
    assert train_member(member, settings).state == "finished"
    assert run.split() == member.split


def test_what_is_finished_is_kept_and_the_rest_trained(
    member: Member, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Member(folder=member.folder.with_name("two"), config=CONFIG, source=member.source, split=member.split)
    train_member(other, settings)
    seen: list[tuple[int, int]] = []
    both = train_members([member, other], settings, progress=lambda done, total, what="": seen.append((done, total)))
    assert [one.run.name for one in both] == ["two", "one"]
    assert seen == [(2, 4), (3, 4), (4, 4)]
    monkeypatch.setattr("core.training.trainer.train", lambda *_: pytest.fail("trained again"))
    assert len(list(train_members([member, other], settings))) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_stopped_experiment_trains_no_member(member: Member, settings: Settings, jobs: int) -> None:
    assert member.stop_file is not None
    member.stop_file.parent.mkdir(parents=True)
    member.stop_file.touch()
    two = Member(folder=member.folder.with_name("two"), config=CONFIG, source=member.source, stop_file=member.stop_file)
    with pytest.raises(KeyboardInterrupt):
        list(train_members([member, two], settings, jobs=jobs))
    assert not member.folder.exists()


def test_a_stop_between_two_epochs_is_heard_at_once(member: Member, settings: Settings) -> None:
    stop_file = member.stop_file
    assert stop_file is not None
    assert train_member(member, settings, on_epoch=lambda record: stop_file.touch()).state == "stopped"
    assert len(member.run.epochs()) == 1
    stop_file.unlink()
    member.run.ask_to_stop()  # of the earlier time
    assert train_member(member, settings).state == "finished"


def test_another_configuration_or_split_in_its_place_is_refused(
    member: Member, settings: Settings, split: Split
) -> None:
    run = open_member(member, settings)
    other = Member(folder=member.folder, config=CONFIG.model_copy(update={"seed": 9}), source=member.source)
    with pytest.raises(RunError, match="another configuration"):
        open_member(other, settings)
    (run.path / "split.json").unlink()
    with pytest.raises(RunError, match="another split"):
        open_member(member, settings)


def watch(run: RunFolder, stop_file: Path, monkeypatch: pytest.MonkeyPatch, *, watch_parent: bool) -> bool:
    """Whether the run is asked to stop after its parent has gone."""
    parents = [1, 1, 2]
    monkeypatch.setattr(member_module, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(member_module.os, "getppid", lambda: parents.pop(0) if len(parents) > 1 else parents[0])
    with member_module._stop_when_asked(run, stop_file, watch_parent=watch_parent):
        wait(lambda: run.stop_requested(), seconds=120 if watch_parent else 0.3)
    return run.stop_requested()


def wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_worker_of_a_pool_whose_parent_was_killed_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch(RunFolder(tmp_path), tmp_path / "no", monkeypatch, watch_parent=True)


def test_an_experiment_outlives_the_app_that_started_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not watch(RunFolder(tmp_path), tmp_path / "no", monkeypatch, watch_parent=False)
