import os
import signal
from pathlib import Path
from unittest import mock

import pytest

from core.config import RunConfig
from core.data.clinical.participants import describe_flow
from core.dataset.split import Split
from core.errors import (
    ConfigError,
    DataError,
    RunBusyError,
    RunError,
    SplitError,
    StorageError,
    WeightsUnavailableError,
)
from core.models.card import read_card
from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder
from core.runs.records import DataSource, EpochRecord, RunStatus
from core.settings import Settings
from core.training.trainer import main, run_training, train
from tests.jobs.killing import Killed, Killer, killing
from tests.training.tiny import finished_epochs, tiny_config


@pytest.fixture
def config() -> RunConfig:
    return tiny_config()


@pytest.fixture
def run(settings: Settings, config: RunConfig, source: DataSource) -> RunFolder:
    return RunFolder.create(settings, config, source)


def test_from_dicom_to_a_checkpoint_in_the_foreground(
    settings: Settings, config: RunConfig, source: DataSource, tmp_path: Path
) -> None:
    told: list[RunStatus] = []
    epochs: list[EpochRecord] = []
    run = run_training(
        settings, config, source, tmp_path / "mine", on_status=told.append, on_epoch=epochs.append
    )  # fmt: skip
    assert run.path == tmp_path / "mine"
    assert run.status().state == told[-1].state == "finished"
    assert run.status().best_epoch == [record.epoch for record in epochs if record.best][-1]
    assert run.epochs() == epochs
    assert {status.phase for status in told} >= {"starting", "preparing"}
    assert not run.resume_file.exists()
    assert not run.is_alive()

    environment, split, card = run.environment(), run.split(), read_card(run.checkpoint)
    assert environment["threads"] == 1
    assert environment["class_names"] == ["unmethylated", "methylated"]
    assert environment["sizes"]["train"] == {"slices": 32, "patients": 8, "per_class": [16, 16]}
    assert environment["sizes"]["test"]["patients"] == len(split.test) == 2
    assert environment["participants"] == describe_flow(open_cohort(source)) == run.participants()
    assert environment["participants"]["used"] == {"studies": 12, "persons": 12}
    assert environment["cohort_digest"] == split.cohort_digest == card.cohort_digest
    assert card.synthetic
    assert card.sequences == ("FLAIR", "T1w")
    assert card.planes
    assert set(card.intensity) == {"FLAIR", "T1w"}
    assert not card.reproduction
    assert card.weights_origin == "random"
    log = run.log_tail()
    for words in (
        "TRAIN: 32 slices (unmethylated 16, methylated 16)",
        "VAL: 8 slices",
        "TEST: 8 slices, not evaluated",
        "50.0 %",
    ):
        assert words in log


def test_stopped_by_the_stop_file_and_resumed_ends_the_same(
    run: RunFolder, settings: Settings, config: RunConfig, source: DataSource
) -> None:
    whole = run_training(settings, config, source)
    status = train(run, settings, on_epoch=lambda record: run.ask_to_stop())
    assert (status.state, run.status().state) == ("stopped", "stopped")
    assert run.status().epoch == 1
    assert not run.stop_requested()
    assert len(run.epochs()) == 1
    assert train(run, settings).state == "finished"
    assert finished_epochs(run.path) == finished_epochs(whole.path)
    assert run.environment()["resumed"]
    with pytest.raises(RunError, match="nothing to resume"):
        train(run, settings)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_at_a_batch_boundary(run: RunFolder, settings: Settings, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    status = train(run, settings, on_epoch=lambda record: os.kill(os.getpid(), number))
    assert status.state == "stopped"
    assert run.resume_file.exists()
    assert signal.getsignal(number) is before


def test_stop_while_the_data_are_prepared(run: RunFolder, settings: Settings) -> None:
    run.ask_to_stop()
    assert train(run, settings).state == "stopped"
    assert run.epochs() == []
    assert train(run, settings).state == "finished"


def test_what_a_person_can_put_right_is_said_in_one_line(settings: Settings, config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        run_training(settings, config, DataSource(root=str(tmp_path / "nothing")), name="lost")
    run = RunFolder(settings.runs / "lost")
    assert run.status().state == "failed"
    assert run.status().message == str(caught.value)
    assert "Traceback" not in run.log_tail()
    assert str(caught.value) in run.log_tail()


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ("weights=/nowhere/resnet18.pth", WeightsUnavailableError, "no such file exists"),
        ("architecture=volumetric", ConfigError, "'slice' is prepared"),
    ],
)
def test_what_cannot_start_is_said_before_hours_go_into_preparing(
    changed: str, error: type[Exception], words: str, settings: Settings, source: DataSource
) -> None:
    with pytest.raises(error, match=words):
        run_training(settings, tiny_config(changed), source, name="early")
    run = RunFolder(settings.runs / "early")
    assert run.status().state == "failed"
    assert words in run.status().message
    assert not (settings.cache / "prepared").exists()


def test_a_bug_is_loud_in_the_log_and_quiet_in_the_status(run: RunFolder, settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError):
        train(run, settings, on_epoch=lambda record: print(1 / 0))
    assert run.status().state == "failed"
    assert run.status().message == "An unexpected ZeroDivisionError ended the run; train.log has the details."
    assert "Traceback" in run.log_tail()
    assert not run.is_alive()


def test_a_full_disk_fails_with_a_remedy_and_the_run_goes_on_when_there_is_space(
    run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if self.name.startswith(".resume.pt"):
            raise OSError(28, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError):
        train(run, settings)
    assert run.status().state == "failed"
    assert "no space is left on the disk; free some" in run.status().message
    monkeypatch.setattr(Path, "write_bytes", write)
    assert train(run, settings).state == "finished"


def test_a_log_that_cannot_be_opened_fails_the_run_and_it_goes_on_when_there_is_space(
    run: RunFolder, settings: Settings
) -> None:
    full = OSError(28, "No space left on device", str(run.log_file))
    with mock.patch("logging.FileHandler", side_effect=full), pytest.raises(StorageError):
        train(run, settings)
    assert run.status().state == "failed"
    assert "train.log cannot be written: no space is left on the disk; free some" in run.status().message
    assert train(run, settings).state == "finished"


def test_the_split_is_kept_and_other_data_are_refused(run: RunFolder, settings: Settings) -> None:
    train(run, settings, on_epoch=lambda record: run.ask_to_stop())
    split = run.split()
    other = Split.from_json(split.to_json().replace(split.cohort_digest, "f" * 12))
    (run.path / "split.json").write_text(other.to_json())
    with pytest.raises(SplitError, match="no longer what"):
        train(run, settings)


def test_a_run_has_one_trainer(run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.training.trainer.LOCK_SECONDS", 0.05)
    with run.lock(), pytest.raises(RunBusyError):
        train(run, settings)
    assert run.status().state == "queued"


def test_a_run_stopped_while_it_waited_is_not_started(run: RunFolder, settings: Settings) -> None:
    run.write_status(run.status().model_copy(update={"state": "stopped"}))
    assert train(run, settings, only_if_queued=True).state == "stopped"
    assert not run.log_file.exists()


def test_the_process_answers_with_its_exit_code(
    run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MGMT_LAB_HOME", str(settings.home))
    monkeypatch.setenv("MGMT_LAB_THREADS", "1")
    monkeypatch.setattr(os, "nice", lambda increment: 0)
    assert main([str(run.path)]) == 0
    assert run.status().state == "finished"
    run.write_status(run.status().model_copy(update={"state": "queued"}))
    (run.path / "split.json").write_text("{")
    assert main([str(run.path)]) == 2
    assert run.status().state == "failed"
    assert capfd.readouterr().err == ""


def test_killed_before_the_last_word_it_is_finished_by_a_resume_that_trains_nothing(
    run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("core.training.trainer._finish", lambda run, reporter: None)
        train(run, settings)
    assert run.status().state == "interrupted"
    epochs, weights = run.epochs(), run.checkpoint.read_bytes()
    trained: list[EpochRecord] = []
    assert train(run, settings, on_epoch=trained.append).state == "finished"
    assert trained == []
    assert run.epochs() == epochs
    assert run.checkpoint.read_bytes() == weights


def test_finished_is_said_before_the_state_is_removed(
    run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name == "resume.pt":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            train(run, settings)
    assert run.status().state == "finished"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "Memory does not suffice"),
        (FileNotFoundError(2, "No such file or directory", "/data/gone.dcm"), r"/data/gone\.dcm.*resume the run"),
    ],
)
def test_what_the_machine_lacks_is_said_and_the_best_checkpoint_kept(
    run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    train(run, settings, on_epoch=lambda record: run.ask_to_stop())
    best = run.checkpoint.read_bytes()

    def fail(*arguments: object, **options: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("core.training.session.build_table", fail)
        with pytest.raises(RunError, match=words):
            train(run, settings)
    assert run.status().state == "failed"
    assert run.checkpoint.read_bytes() == best
    assert train(run, settings).state == "finished"


def test_the_status_knows_the_best_epoch_of_a_run_that_was_killed_before_it_said_so(
    settings: Settings, source: DataSource
) -> None:
    killer = Killer(lambda path: path.endswith("epochs.jsonl"), kill_at=0)
    with killing(killer), pytest.raises(Killed):
        run_training(settings, tiny_config("epochs=1"), source, name="killed")
    run = RunFolder(settings.runs / "killed")
    assert train(run, settings).best_epoch == run.status().best_epoch == run.epochs()[0].epoch == 1
