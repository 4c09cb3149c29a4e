from collections.abc import Sequence

import pytest

from core.runs.folder import RunFolder
from core.runs.records import DataSource, EpochRecord
from core.runs.warning_signs import SignContext, find_warning_signs, read_warning_signs
from core.settings import Settings
from core.training.trainer import train
from tests.training.tiny import tiny_config

NAMES = SignContext(class_names=("unmethylated", "methylated"), val_patients=24)


def record(epoch: int, **changes: object) -> EpochRecord:
    """An epoch that gives no cause for concern, but for `changes`."""
    healthy = EpochRecord(
        epoch=epoch, learning_rate=0.1, train_loss=0.5, train_accuracy=0.8, train_patient_auroc=0.9,
        val_loss=0.6 / epoch, val_accuracy=0.75, val_patient_auroc=0.5 + 0.1 * epoch,
        val_patient_auroc_low=0.45 + 0.1 * epoch, val_patient_auroc_high=0.55 + 0.1 * epoch, val_patient_accuracy=0.7,
        seconds=1.0, images_per_second=10.0, best=True, val_predicted=(30, 18), val_histogram=((24,), (24,)),
    )  # fmt: skip
    return healthy.model_copy(update=changes)


def kinds(records: Sequence[EpochRecord]) -> list[str]:
    return [sign.kind for sign in find_warning_signs(records, NAMES)]


def test_nothing_is_said_of_a_healthy_run_or_of_none() -> None:
    assert kinds([]) == []
    assert kinds([record(epoch) for epoch in (1, 2, 3)]) == []


def test_a_loss_that_rises_three_times_in_a_row_is_told_with_both_figures() -> None:
    losses = (0.6, 0.5, 0.51, 0.55, 0.7)
    records = [record(epoch, val_loss=loss) for epoch, loss in enumerate(losses, start=1)]
    (sign,) = find_warning_signs(records, NAMES)
    assert sign.kind == "loss rising"
    assert "for 3 epochs in a row, from 0.500 in epoch 2 to 0.700" in sign.message
    assert kinds(records[:4]) == []
    assert kinds([*records, record(6, val_loss=0.69)]) == []


def test_a_class_that_is_never_predicted_is_named_with_since_when() -> None:
    records = [record(1), record(2, val_predicted=(48, 0)), record(3, val_predicted=(48, 0))]
    (sign,) = find_warning_signs(records, NAMES)
    assert sign.kind == "class never predicted"
    assert "No validation slice of 48 was called methylated since epoch 2" in sign.message
    assert kinds([*records, record(4)]) == []


def test_a_class_that_is_not_in_validation_and_an_old_record_are_no_matter() -> None:
    assert kinds([record(1, val_predicted=(48, 0), val_histogram=((48,), (0,)))]) == []
    assert kinds([record(1, val_predicted=None, val_histogram=None)]) == []


def test_training_accuracy_far_above_the_validations() -> None:
    (sign,) = find_warning_signs([record(1, train_accuracy=0.97, val_accuracy=0.55)], NAMES)
    assert sign.kind == "overfitting"
    assert "0.970, lies 0.420 above the validation's, 0.550, in epoch 1" in sign.message
    assert kinds([record(1, train_accuracy=0.97, val_accuracy=0.8)]) == []


def test_a_gain_within_half_of_the_interval_is_said_to_be_too_small_to_tell() -> None:
    wide = {"val_patient_auroc_low": 0.45, "val_patient_auroc_high": 0.9}
    records = [record(1), record(2, val_patient_auroc=0.7, **wide)]
    (sign,) = find_warning_signs(records, NAMES)
    assert sign.kind == "validation too small"
    assert "0.700, +0.100 against the first" in sign.message
    assert "0.450 wide with n = 24 patients. " in sign.message
    assert kinds([record(1), record(2, val_patient_auroc=0.9, **wide)]) == []
    assert kinds([record(1), record(2, val_patient_auroc=None, **wide)]) == []
    assert kinds([record(1)]) == []
    never_better = [record(1, **wide), record(2, val_patient_auroc=0.5, best=False)]
    assert kinds(never_better) == ["validation too small"]


def test_a_run_shows_its_signs_and_logs_each_once(
    settings: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.runs.warning_signs.TOO_FAR_ABOVE", -2.0)
    run = RunFolder.create(settings, tiny_config("epochs=3"), source)
    train(run, settings)
    (sign,) = [sign for sign in read_warning_signs(run) if sign.kind == "overfitting"]
    assert sign.message.startswith("Training accuracy by slice")
    assert run.log_tail().count("WARNING Training accuracy by slice") == 1
