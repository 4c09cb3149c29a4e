import json
import os
from pathlib import Path

import pytest

from core.config import RunConfig
from core.errors import RunBusyError, RunError
from core.runs.folder import RunFolder, delete_run, find_run, list_runs
from core.runs.records import DataSource, EpochRecord, RunStatus
from core.settings import Settings, load_settings

SOURCE = DataSource(root="/data/rsna", labels="train_labels.csv")
RECORD = EpochRecord(
    epoch=1, learning_rate=0.1, train_loss=0.7, train_accuracy=0.5, train_patient_auroc=None, val_loss=0.7,
    val_accuracy=0.5, val_patient_auroc=0.6, val_patient_auroc_low=0.4, val_patient_auroc_high=0.8,
    val_patient_accuracy=0.5, seconds=1.0, images_per_second=10.0, best=True,
)  # fmt: skip


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    return RunFolder.create(settings, RunConfig(preset="honest", weights="mine.pth"), SOURCE, note="first try")


def test_a_new_run_is_complete_queued_and_named_after_its_preset(run: RunFolder, settings: Settings) -> None:
    assert run.path.parent == settings.runs
    assert run.name.split("-")[2] == "honest"
    assert run.config == RunConfig(preset="honest", weights=str(Path("mine.pth").resolve()))
    assert run.source == DataSource(root="/data/rsna", labels=str(Path("train_labels.csv").resolve()))
    status = run.status()
    assert (status.state, status.epochs, status.note) == ("queued", 30, "first try")
    assert run.epochs() == []
    assert run.environment() == {}
    assert run.log_tail() == ""
    assert [path.name for path in settings.runs.iterdir()] == [run.name]


def test_a_folder_of_ones_own_may_be_empty_but_not_taken(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    assert RunFolder.create(settings, RunConfig(), SOURCE, folder=folder).path == folder
    with pytest.raises(RunError, match="exists already"):
        RunFolder.create(settings, RunConfig(), SOURCE, folder=folder)


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 81, "a b"])
def test_names_that_could_be_paths_are_refused(settings: Settings, name: str) -> None:
    with pytest.raises(RunError, match="cannot name a run"):
        RunFolder.create(settings, RunConfig(), SOURCE, name=name)
    assert not settings.runs.exists()


def test_running_without_a_holder_of_the_lock_is_interrupted(run: RunFolder) -> None:
    running = RunStatus(state="running", epoch=3, seconds_left=60.0)
    with run.lock():
        run.write_status(running)
        assert run.status() == running
        with pytest.raises(RunBusyError, match=run.name), run.lock(timeout_seconds=0.05):
            pass
    status = run.status()
    assert (status.state, status.epoch, status.seconds_left) == ("interrupted", 3, None)
    assert "resume" in status.message


def test_a_trainer_that_finishes_between_two_looks_is_not_called_interrupted(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write_status(RunStatus(state="running"))

    def finish_then_answer() -> bool:
        run.write_status(RunStatus(state="finished"))
        return False

    monkeypatch.setattr(run, "is_alive", finish_then_answer)
    assert run.status().state == "finished"


def test_a_torn_last_line_is_borne(run: RunFolder) -> None:
    run.append_epoch(RECORD)
    run.append_epoch(RECORD.model_copy(update={"epoch": 2}))
    log = run.path / "epochs.jsonl"
    log.write_bytes(log.read_bytes() + RECORD.model_dump_json().encode()[:40])
    assert [record.epoch for record in run.epochs()] == [1, 2]
    run.replace_epochs(run.epochs()[:1])
    assert log.read_text() == RECORD.model_dump_json() + "\n"


def test_the_tail_of_a_long_log_is_its_last_lines(run: RunFolder) -> None:
    run.log_file.write_text("".join(f"line {number}\n" for number in range(50_000)))
    assert run.log_tail(2) == "line 49998\nline 49999"


def test_runs_are_listed_newest_first_and_by_owner(settings: Settings) -> None:
    first = RunFolder.create(settings, RunConfig(preset="paper"), SOURCE, name="b", owner="ann")
    second = RunFolder.create(settings, RunConfig(), SOURCE, name="a", owner="bob")
    assert [(entry.run, entry.preset) for entry in list_runs(settings)] == [(second, "custom"), (first, "paper")]
    assert [entry.run for entry in list_runs(settings, owner="ann")] == [first]
    assert find_run("b", settings, owner="ann") == first
    with pytest.raises(RunError, match="no run 'b'; the latest are: a"):
        find_run("b", settings, owner="bob")


@pytest.mark.parametrize(
    ("name", "content"),
    [("status.json", "{"), ("status.json", None), ("config.json", "[]"), ("config.json", None), ("config.json", '{"epochs": "many"}')],
)  # fmt: skip
def test_a_damaged_folder_is_listed_as_failed_with_the_reason(
    run: RunFolder, settings: Settings, name: str, content: str | None
) -> None:
    if content is None:
        (run.path / name).unlink()
    else:
        (run.path / name).write_text(content)
    (settings.runs / "empty").mkdir()
    entries = {entry.run.name: entry.status for entry in list_runs(settings)}
    assert entries[run.name].state == "failed"
    assert name in entries[run.name].message
    assert entries["empty"].state == "failed"


def test_reading_bears_binary_rubbish(run: RunFolder) -> None:
    for name in ("status.json", "epochs.jsonl", "environment.json", "train.log", "data.json"):
        (run.path / name).write_bytes(os.urandom(200))
    assert run.status().state == "failed"
    assert run.epochs() == []
    assert isinstance(run.log_tail(), str)
    with pytest.raises(RunError, match=r"environment\.json is damaged"):
        run.environment()
    with pytest.raises(RunError, match=r"data\.json"):
        _ = run.source


def test_a_run_is_found_by_name_or_in_local_mode_by_folder(run: RunFolder, settings: Settings, tmp_path: Path) -> None:
    assert find_run(run.name, settings) == run
    outside = RunFolder.create(settings, RunConfig(), SOURCE, folder=tmp_path / "outside")
    assert find_run(tmp_path / "outside", settings) == outside
    hosted = load_settings({"MGMT_LAB_HOME": str(settings.home), "MGMT_LAB_MODE": "hosted"})
    for name in (str(tmp_path / "outside"), f"../runs/{run.name}", "../outside", ""):
        with pytest.raises(RunError, match="There is no run"):
            find_run(name, hosted)


def test_a_run_is_deleted_unless_it_is_being_trained(run: RunFolder, settings: Settings) -> None:
    with run.lock(), pytest.raises(RunBusyError, match="stop it"):
        delete_run(run)
    delete_run(run)
    assert list(settings.runs.iterdir()) == []


def test_files_of_a_later_version_are_read(run: RunFolder) -> None:
    content = json.loads((run.path / "status.json").read_text()) | {"colour": "blue"}
    (run.path / "status.json").write_text(json.dumps(content))
    assert run.status().state == "queued"
