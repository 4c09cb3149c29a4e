import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.config import RunConfig
from core.dataset.augment import augment
from core.dataset.batches import train_batches
from core.dataset.slice_table import SliceTable
from core.dataset.split import Split
from core.errors import RunError, SplitError
from core.models.checkpoint import load_model
from core.models.forward import choose_compute, score_images, to_input
from core.models.registry import find_architecture
from core.models.weights import build_model
from core.runs.folder import RunFolder
from core.runs.records import DataSource, EpochRecord
from core.settings import Settings
from core.training.loop import fit, rank_epoch, start_training
from core.training.state import StepReport, describe_training
from core.training.stopping import TrainingStopped
from tests.training.tiny import finished_epochs, make_images, tiny_config

TABLE, SPLIT = make_images()
FOUR = ("batch_size=4", "epochs=3")


def new_run(settings: Settings, config: RunConfig, name: str) -> RunFolder:
    return RunFolder.create(settings, config, DataSource(root="/nowhere"), name=name, state="running")


def test_is_the_papers_loop() -> None:
    """Against the loop as a textbook has it: SGD, StepLR, cross-entropy, a validation phase, best by accuracy."""
    config = tiny_config(*FOUR, "architecture=resnet18", "step_size=1", "learning_rate=0.01", preset="paper")
    split = Split(train=SPLIT.train, val=SPLIT.val, test=SPLIT.test, unit="patient", seed=0, cohort_digest="0" * 12)
    records = list(fit(config, TABLE, split))

    model, _ = build_model("resnet18", 2, "none", config.seed)
    architecture, compute = find_architecture("resnet18"), choose_compute(config)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, step_size=1, gamma=0.1)
    train, val = split.indices(TABLE, "train"), split.indices(TABLE, "val")
    labels = TABLE.rows["label"].to_numpy()
    for epoch, record in enumerate(records, start=1):
        model.train()
        losses, right = [], 0
        assert record.learning_rate == pytest.approx(optimiser.param_groups[0]["lr"])
        for batch in train_batches(TABLE, train, 4, config.seed, epoch):
            images = augment(batch.images, config.augmentation, config.seed, epoch, batch.indices)
            outputs = model(to_input(images, architecture, compute))
            loss = torch.nn.functional.cross_entropy(outputs, batch.labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses += [loss.item()] * len(batch.labels)
            right += int((outputs.argmax(1) == batch.labels).sum())
        scheduler.step()
        scores = score_images(model, TABLE.images(val), architecture, compute)
        assert record.train_loss == pytest.approx(np.mean(losses), rel=1e-4)
        assert record.train_accuracy == pytest.approx(right / len(train))
        assert record.val_accuracy == pytest.approx((scores.argmax(1) == labels[val]).mean())
    assert [record.learning_rate for record in records] == pytest.approx([0.01, 0.001, 0.0001])


def test_learns_what_can_be_learnt() -> None:
    records = list(fit(tiny_config("batch_size=4", "epochs=20", "learning_rate=0.01"), TABLE, SPLIT))
    assert records[-1].val_patient_auroc == 1.0
    assert records[-1].train_loss < 0.5 * records[0].train_loss


@pytest.mark.parametrize("schedule", ["one_cycle", "constant", "step"])
def test_schedules_also_of_a_single_step(schedule: str) -> None:
    single = list(fit(tiny_config("batch_size=64", "epochs=1", f"schedule={schedule}"), TABLE, SPLIT))
    assert len(single) == 1
    rates = [record.learning_rate for record in fit(tiny_config(*FOUR, f"schedule={schedule}"), TABLE, SPLIT)]
    if schedule == "one_cycle":
        assert rates[0] < 0.0001 < rates[1] <= 0.001
        assert rates[2] < rates[1]
    else:
        assert rates == [0.001] * 3


def test_the_checkpoint_is_the_best_epochs(settings: Settings) -> None:
    config = tiny_config("batch_size=4", "epochs=4", "select_on=val_accuracy")
    run = new_run(settings, config, "best")
    records = list(fit(config, TABLE, SPLIT, run=run))
    best = max(records, key=lambda record: (record.val_accuracy, -record.val_loss)).epoch
    assert [record.epoch for record in records if record.best][-1] == best
    assert run.epochs() == records
    model, card = load_model(run.checkpoint)
    rows = SPLIT.indices(TABLE, "val")
    scores = score_images(model, TABLE.images(rows), find_architecture("tiny"), choose_compute(config))
    kept = run.predictions()
    np.testing.assert_allclose(kept[["logit_0", "logit_1"]], scores, rtol=1e-4, atol=1e-4)
    assert kept["key"].tolist() == TABLE.rows["key"].iloc[rows].tolist()
    assert (card.epoch, card.class_names, card.patients) == (best, TABLE.class_names, {"train": 4, "val": 4, "test": 4})
    # Figures and calibration come from all epochs, after them.
    assert (card.metrics, card.temperature, card.calibration) == ({}, 1.0, {})


def test_of_equal_figures_the_lower_loss_is_the_better_epoch(settings: Settings) -> None:
    """Four validation patients of two classes: their AUROC takes few values, so epochs tie."""
    records = list(fit(tiny_config("batch_size=4", "epochs=2"), TABLE, SPLIT))
    config = tiny_config("select_on=val_patient_auroc")
    lower, higher = (records[0].model_copy(update={"val_patient_auroc": 0.75, "val_loss": loss}) for loss in (0.5, 0.6))
    assert rank_epoch(config, lower) > rank_epoch(config, higher)
    assert rank_epoch(config, lower) == rank_epoch(config, lower.model_copy(update={"epoch": 9}))  # the first stays
    better = higher.model_copy(update={"val_patient_auroc": 0.8})
    assert rank_epoch(config, better) > rank_epoch(config, lower)


class _Poison:
    """Stands where the images of a test patient would."""

    shape = (3, 32, 32)

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("a test patient was looked at")


def test_test_patients_are_never_looked_at(settings: Settings) -> None:
    arrays = tuple(
        _Poison() if f"{person:05d}" in SPLIT.test else array for person, array in enumerate(TABLE.arrays)
    )  # fmt: skip
    table = SliceTable(
        rows=TABLE.rows, arrays=arrays, class_names=TABLE.class_names, positive_class=1  # type: ignore[arg-type]
    )  # fmt: skip
    config = tiny_config("batch_size=4", "epochs=1")
    assert len(list(fit(config, table, SPLIT, run=new_run(settings, config, "sacred")))) == 1
    swapped = Split(
        train=SPLIT.test, val=SPLIT.val, test=SPLIT.train, unit="patient", seed=0, cohort_digest="0" * 12
    )  # fmt: skip
    with pytest.raises(AssertionError, match="looked at"):
        list(fit(config, table, swapped))


def train_with_a_break(run: RunFolder, config: RunConfig, steps: int) -> list[EpochRecord]:
    """Stop at the batch after so many looks at the stop file, then go on with everything built anew."""
    looks = iter(range(1000))
    with pytest.raises(TrainingStopped):
        list(fit(config, TABLE, SPLIT, run=run, stop=lambda: next(looks) == steps))
    return list(fit(config, TABLE, SPLIT, run=run))


STATE = ("model", "optimiser", "train_logits", "gradient_norms", "epoch", "step")


def assert_same(one: RunFolder, other: RunFolder) -> None:
    states = [torch.load(run.resume_file, weights_only=True) for run in (one, other)]
    assert states[0]["scheduler"] == states[1]["scheduler"]
    tensors = [{name: state[name] for name in STATE} for state in states]
    torch.testing.assert_close(tensors[0], tensors[1], rtol=0, atol=0, equal_nan=True)
    weights = [load_model(run.checkpoint)[0].state_dict() for run in (one, other)]
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert finished_epochs(one.path) == finished_epochs(other.path)


@pytest.mark.parametrize(
    ("steps", "options"),
    [
        (2, ("precision=float32",)),  # in the first epoch
        (5, ("precision=bfloat16", "optimiser=sgd", "schedule=step", "step_size=1")),
        (7, ("precision=bfloat16",)),  # before the second epoch's validation
        (0, ("precision=float32", "schedule=constant")),  # before anything
    ],
)
def test_stopped_and_resumed_is_bit_for_bit_the_same(settings: Settings, steps: int, options: tuple[str, ...]) -> None:
    config = tiny_config(*FOUR, *options)
    whole, broken = new_run(settings, config, "whole"), new_run(settings, config, "broken")
    list(fit(config, TABLE, SPLIT, run=whole))
    after = train_with_a_break(broken, config, steps)
    assert [record.epoch for record in after] == list(range(1 + steps // 4, 4))
    assert_same(whole, broken)


def test_after_a_crash_training_goes_on_from_the_last_finished_epoch(settings: Settings) -> None:
    """As SIGKILL leaves it: an epoch begun but lost, and a line of the log that resume.pt does not know, torn."""
    config = tiny_config(*FOUR)
    whole, crashed = new_run(settings, config, "whole"), new_run(settings, config, "crashed")
    list(fit(config, TABLE, SPLIT, run=whole))
    training = fit(config, TABLE, SPLIT, run=crashed)
    next(training)
    training.close()
    log = crashed.path / "epochs.jsonl"
    log.write_text(log.read_text() + crashed.epochs()[0].model_dump_json() + "\n" + '{"epoch": 3, "learn')
    assert [record.epoch for record in fit(config, TABLE, SPLIT, run=crashed)] == [2, 3]
    assert_same(whole, crashed)


def test_every_step_is_told_and_the_share_done_only_grows() -> None:
    reports: list[StepReport] = []
    list(fit(tiny_config(*FOUR), TABLE, SPLIT, on_step=reports.append))
    assert [report.step for report in reports if report.phase == "training"] == [1, 2, 3] * 3
    assert {report.phase for report in reports} >= {"training", "validating"}
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1)


def test_a_record_tells_the_gradient_the_memory_and_what_was_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    step = torch.optim.AdamW.step

    def measure(self: torch.optim.AdamW) -> Any:
        squares = [
            (weight.grad.double() ** 2).sum().item() for group in self.param_groups for weight in group["params"]
        ]
        seen.append(sum(squares) ** 0.5)
        return step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", measure)
    told: list[float] = []

    def read(report: StepReport) -> None:
        if report.phase == "training":
            assert report.loss
            assert report.gradient_norm is not None
            told.append(report.gradient_norm.item())

    first, second, _ = fit(tiny_config(*FOUR), TABLE, SPLIT, on_step=read)
    assert first.gradient_norm == pytest.approx(np.mean(seen[:3]), rel=1e-5)
    assert second.gradient_norm_max == pytest.approx(max(seen[3:6]), rel=1e-5)
    assert told == pytest.approx(seen, rel=1e-5)
    assert first.memory_bytes is not None
    assert 2**26 < first.memory_bytes < 2**36
    assert first.gpu_memory_bytes is None
    assert first.train_histogram is not None
    assert first.val_histogram is not None
    assert [[sum(counts) for counts in histogram] for histogram in (first.train_histogram, first.val_histogram)] == [
        [6, 6],
        [6, 6],
    ]
    assert sum(first.val_predicted or ()) == 12


def test_a_loss_that_is_not_a_number_fails_with_a_remedy(tmp_path: Path) -> None:
    weights, _ = build_model("tiny", 2, "none", 0)
    state = weights.state_dict()
    state["0.weight"].fill_(float("nan"))
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(RunError, match=r"epoch 1, batch 1, the training loss .* Lower learning_rate \(now 0\.001\)"):
        list(fit(tiny_config(f"weights={tmp_path / 'nan.pth'}"), TABLE, SPLIT))


def test_a_lack_of_memory_names_what_to_lower() -> None:
    def exhaust(report: StepReport) -> None:
        torch.empty(2**55)

    with pytest.raises(RunError, match=r"Memory does not suffice; lower batch_size \(now 4\) or size_px \(now 32\)"):
        list(fit(tiny_config(*FOUR), TABLE, SPLIT, on_step=exhaust))


def test_without_two_classes_in_validation_the_loss_selects() -> None:
    split = Split(
        train=SPLIT.train, val=SPLIT.val[:1], test=SPLIT.test, unit="patient", seed=0, cohort_digest="0" * 12
    )  # fmt: skip
    records = list(fit(tiny_config("batch_size=4", "epochs=4"), TABLE, split))
    assert all(record.val_patient_auroc is None for record in records)
    losses = [record.val_loss for record in records]
    assert [record.epoch for record in records if record.best][-1] == losses.index(min(losses)) + 1


def test_three_classes_train_too(settings: Settings) -> None:
    table, split = make_images(persons=18, classes=3)
    config = tiny_config("batch_size=4", "epochs=1")
    run = new_run(settings, config, "three")
    (record,) = fit(config, table, split, run=run)
    assert record.val_patient_auroc is not None
    assert load_model(run.checkpoint)[1].class_names == ("class 0", "class 1", "class 2")


def test_an_empty_part_is_refused() -> None:
    other = Split(train=("x",), val=SPLIT.val, test=(), unit="patient", seed=0, cohort_digest="0" * 12)
    with pytest.raises(SplitError, match="No image is in the train part"):
        list(fit(tiny_config(), TABLE, other))


def test_a_rare_class_counts_as_much_as_a_common_one() -> None:
    few = Split(
        train=(*SPLIT.train, *SPLIT.test[:1]), val=SPLIT.val, test=SPLIT.test[1:], unit="patient", seed=0,
        cohort_digest="0" * 12,
    )  # fmt: skip
    rows = few.indices(TABLE, "train")
    counts = np.bincount(TABLE.rows["label"].to_numpy()[rows])
    assert counts.tolist() == [9, 6]
    trained = {}
    for choice in ("none", "balanced"):
        config = tiny_config(*FOUR, f"class_weights={choice}")
        weights = start_training(describe_training(config, TABLE, few)).class_weights
        trained[choice] = [record.train_loss for record in fit(config, TABLE, few)]
        if choice == "none":
            assert weights is None
            continue
        assert weights is not None
        np.testing.assert_allclose(weights.numpy() * counts, [7.5, 7.5])  # each class half of the fifteen
    assert trained["none"][-1] != trained["balanced"][-1]


def test_images_held_on_the_device_train_the_same(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config(*FOUR, "rotation_degrees=10", "noise_std=0.1", "mixup_alpha=0.3")
    mapped, held = new_run(settings, config, "mapped"), new_run(settings, config, "held")
    list(fit(config, TABLE, SPLIT, run=mapped))
    monkeypatch.setattr("core.dataset.feed._free_bytes", lambda device: 10**12)
    log = logging.getLogger("test_loop.held")
    told: list[str] = []
    monkeypatch.setattr(log, "info", lambda text, *values: told.append(text % values))
    list(fit(config, TABLE, SPLIT, run=held, log=log))
    assert any("are held on cpu" in text for text in told)
    assert_same(mapped, held)


def test_micro_batches_train_on_the_whole_batch(settings: Settings) -> None:
    """A run in parts goes on after a stop as one that was never stopped, like any other."""
    config = tiny_config(*FOUR, "micro_batches=2")
    whole, broken = new_run(settings, config, "whole"), new_run(settings, config, "broken")
    list(fit(config, TABLE, SPLIT, run=whole))
    train_with_a_break(broken, config, 5)
    assert_same(whole, broken)
