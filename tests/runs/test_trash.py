import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.config import RunConfig
from core.errors import RunBusyError, RunError
from core.runs import trash as module
from core.runs.folder import RunFolder, list_runs
from core.runs.records import DataSource
from core.runs.trash import Trash, empty_dead_trashes, open_trash
from core.settings import PROJECT_ROOT, Settings


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    return make_run(settings)


@pytest.fixture
def trash(settings: Settings) -> Iterator[Trash]:
    trash = Trash(settings.runs)
    yield trash
    trash.close()


def make_run(settings: Settings, name: str = "one", owner: str = "") -> RunFolder:
    run = RunFolder.create(settings, RunConfig(), DataSource(root="/data"), name=name, state="finished", owner=owner)
    (run.path / "best.safetensors").write_bytes(b"weights")
    return run


def test_a_deleted_run_is_gone_from_the_list_and_comes_back_whole(
    run: RunFolder, settings: Settings, trash: Trash
) -> None:
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    deleted = trash.put(run)
    assert list_runs(settings) == []
    assert not run.path.exists()
    assert [entry.name for entry in trash.list()] == ["one"]
    assert trash.undo(deleted) == run
    assert {name: (run.path / name).read_bytes() for name in before} == before
    assert [entry.run for entry in list_runs(settings)] == [run]
    assert trash.list() == []


def test_the_last_one_deleted_is_listed_first_and_each_visitor_sees_his_own(settings: Settings, trash: Trash) -> None:
    for name, owner in (("a", "ann"), ("b", "bob"), ("c", "ann")):
        trash.put(make_run(settings, name, owner))
    assert [entry.name for entry in trash.list()] == ["c", "b", "a"]
    assert [entry.name for entry in trash.list("ann")] == ["c", "a"]
    trash.empty("ann")
    assert [entry.name for entry in trash.list()] == ["b"]


def test_a_name_that_was_taken_again_is_not_overwritten(run: RunFolder, settings: Settings, trash: Trash) -> None:
    first = trash.put(run)
    second = make_run(settings)
    with pytest.raises(RunError, match="There is a run one again"):
        trash.undo(first)
    trash.put(second)
    assert [entry.name for entry in trash.list()] == ["one", "one"]
    assert trash.undo(first).path.exists()


def test_what_trains_or_waits_or_lies_elsewhere_is_not_deleted(
    settings: Settings, trash: Trash, tmp_path: Path
) -> None:
    waiting = RunFolder.create(settings, RunConfig(), DataSource(root="/data"), name="waiting")
    with pytest.raises(RunBusyError, match="waits in the queue"):
        trash.put(waiting)
    training = make_run(settings, "training")
    with training.lock(), pytest.raises(RunBusyError, match="stop it"):
        trash.put(training)
    outside = RunFolder.create(settings, RunConfig(), DataSource(root="/data"), folder=tmp_path / "x", state="finished")
    with pytest.raises(RunError, match="outside"):
        trash.put(outside)
    assert trash.list() == []
    assert all(kept.path.exists() for kept in (waiting, training, outside))


def test_an_undo_after_the_trash_was_emptied_says_so(run: RunFolder, trash: Trash) -> None:
    deleted = trash.put(run)
    trash.empty()
    with pytest.raises(RunError, match="not in the trash any more"):
        trash.undo(deleted)


def test_one_process_has_one_trash(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_open", {})
    first = open_trash(settings)
    assert open_trash(settings) is first
    first.close()


OTHER_SERVER = """
import sys
from core.settings import load_settings
from core.runs.folder import find_run
from core.runs.trash import open_trash
settings = load_settings()
open_trash(settings).put(find_run(sys.argv[1], settings))
print("deleted", flush=True)
sys.stdin.read()
"""


def test_a_starting_server_empties_the_trash_of_a_dead_one_and_not_of_a_living_one(settings: Settings) -> None:
    for name in ("alive", "dead"):
        make_run(settings, name)
    environment = {"MGMT_LAB_HOME": str(settings.home), "PATH": "/usr/bin:/bin"}
    servers = {
        name: subprocess.Popen(
            [sys.executable, "-c", OTHER_SERVER, name],
            cwd=PROJECT_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("alive", "dead")
    }  # fmt: skip
    try:
        for server in servers.values():
            assert server.stdout is not None
            assert server.stdout.readline() == "deleted\n"
        assert list_runs(settings) == []
        assert empty_dead_trashes(settings) == 0
        servers["dead"].kill()
        servers["dead"].wait()
        assert empty_dead_trashes(settings) == 1
        left = [path.name for path in (settings.runs / ".trash").glob("*/*/*/")]
        assert left == ["alive"]
    finally:
        for server in servers.values():
            server.kill()
            server.wait()
    assert empty_dead_trashes(settings) == 1


def test_an_installation_without_trash_gets_none_by_starting(settings: Settings) -> None:
    assert empty_dead_trashes(settings) == 0
    assert not settings.runs.exists()


def test_what_is_left_of_a_deleted_run_goes_at_the_next_start(settings: Settings) -> None:
    left = settings.runs / ".one.9a32418c.deleted"
    left.mkdir(parents=True)
    (left / "config.json").touch()
    assert empty_dead_trashes(settings) == 0
    assert not left.exists()
