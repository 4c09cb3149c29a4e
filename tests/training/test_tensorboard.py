"""TensorBoard event files, read back with TensorBoard's own reader."""

from pathlib import Path

import pytest

from core.errors import ConfigError
from core.jobs.queue import submit
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from core.training.tensorboard import write_events
from core.training.trainer import run_training, train
from tests.training.tiny import finished_epochs, tiny_config


def read_scalar(run: RunFolder, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in _load(run.events).Scalars(tag)]


def _load(folder: Path):  # type: ignore[no-untyped-def]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    return events


def test_the_events_say_what_the_epochs_say(settings: Settings, source: DataSource) -> None:
    plain = run_training(settings, tiny_config(), source, name="plain")
    run = run_training(settings, tiny_config(), source, name="told", tensorboard=True)
    assert not plain.events.exists()
    assert run.config == plain.config
    assert finished_epochs(run.path) == finished_epochs(plain.path)
    records = run.epochs()
    for tag, values in (
        ("loss/validation", [record.val_loss for record in records]),
        ("AUROC by patient/validation", [record.val_patient_auroc for record in records]),
        ("optimiser/gradient norm, mean", [record.gradient_norm for record in records]),
    ):
        assert read_scalar(run, tag) == [(epoch, pytest.approx(value)) for epoch, value in enumerate(values, start=1)]
    histograms = _load(run.events).Histograms("probability of the positive class/validation, methylated")
    assert [event.histogram_value.num for event in histograms] == [4, 4]
    assert records[-1].val_histogram is not None
    filled = [count for count in histograms[-1].histogram_value.bucket if count]
    assert filled == [count for count in records[-1].val_histogram[1] if count]


def test_after_a_break_no_epoch_is_told_twice(settings: Settings, source: DataSource) -> None:
    run = RunFolder.create(settings, tiny_config("epochs=3"), source, tensorboard=True)
    train(run, settings, on_epoch=lambda record: run.ask_to_stop())
    assert [step for step, _ in read_scalar(run, "loss/training")] == [1]
    # As a kill leaves it: the log and the events know an epoch that resume.pt does not.
    run.append_epoch(run.epochs()[0].model_copy(update={"epoch": 2, "train_loss": 99.0}))
    write_events(run)
    assert read_scalar(run, "loss/training")[-1] == (2, 99.0)
    assert train(run, settings).state == "finished"
    told = read_scalar(run, "loss/training")
    assert told == [(record.epoch, pytest.approx(record.train_loss)) for record in run.epochs()]
    assert len(told) == 3


def test_killed_before_the_last_epoch_was_told_the_next_start_tells_it(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.create(settings, tiny_config(), source, tensorboard=True)
    with monkeypatch.context() as patch:
        patch.setattr("core.training.trainer._finish", lambda run, reporter: None)
        train(run, settings)
    for path in run.events.iterdir():
        path.unlink()
    train(run, settings)
    assert len(read_scalar(run, "loss/training")) == 2


def test_without_the_package_nothing_is_started_and_the_remedy_named(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = RunFolder.create(settings, tiny_config(), source, name="waiting", tensorboard=True)
    monkeypatch.setattr("core.training.tensorboard.has_tensorboard", lambda: False)
    for start in (submit, run_training):
        with pytest.raises(ConfigError, match="pip install tensorboard"):
            start(settings, tiny_config("seed=1"), source, name="new", tensorboard=True)
        assert not (settings.runs / "new").exists()
    with pytest.raises(ConfigError, match="pip install tensorboard"):
        train(waiting, settings)
    assert waiting.status().state == "failed"
    assert not (waiting.path / "split.json").exists()
