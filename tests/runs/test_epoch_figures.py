"""An epoch's figures know their n and their interval."""

from __future__ import annotations

from core.runs.epoch_figures import epoch_figure, part_sizes
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from core.training.trainer import run_training
from tests.training.tiny import tiny_config


def test_each_field_has_the_n_of_its_part_and_level(settings: Settings, source: DataSource) -> None:
    run = run_training(settings, tiny_config("epochs=1"), source)
    (record,) = run.epochs()
    patients, slices, majority = part_sizes(run, "val")
    assert majority is not None
    assert 0.5 <= majority < 1
    assert epoch_figure(run, record, "val_patient_auroc").n == patients
    accuracy = epoch_figure(run, record, "val_accuracy")
    assert (accuracy.value, accuracy.low, accuracy.high) == (
        record.val_accuracy, record.val_accuracy_low, record.val_accuracy_high,
    )  # fmt: skip
    assert accuracy.n == slices
    assert epoch_figure(run, record, "train_loss").n == part_sizes(run, "train")[1]
    bare = epoch_figure(run, record, "train_patient_auroc")
    assert (bare.low, bool(bare.reason)) == (None, True)


def test_before_the_start_there_are_no_sizes(settings: Settings, source: DataSource) -> None:
    assert part_sizes(RunFolder.create(settings, tiny_config(), source, "new"), "val") == (0, 0, None)
