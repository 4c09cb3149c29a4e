import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.config import RunConfig
from core.errors import RunError
from core.models.card import read_card
from core.models.weights import build_model
from core.runs.folder import RunFolder
from core.runs.records import MACHINE_FIELDS, DataSource, EpochRecord
from core.settings import Settings
from core.training.loop import fit
from core.training.trainer import run_training, train
from tests.training.tiny import TINY_NETWORK, make_images, tiny_config

TABLE, SPLIT = make_images()
CONFIG = tiny_config("batch_size=8", "epochs=2")


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    return RunFolder.create(settings, CONFIG, DataSource(root="/nowhere"), state="running")


class _Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.target),)


def test_nothing_in_the_file_is_executed(run: RunFolder, tmp_path: Path) -> None:
    for write in (lambda stream, thing: pickle.dump(thing, stream, 2), lambda stream, thing: torch.save(thing, stream)):
        with run.resume_file.open("wb") as stream:
            write(stream, _Evil(tmp_path / "pwned"))
        with pytest.raises(RunError, match=r"resume\.pt cannot be read .*; delete .* to train from the beginning"):
            list(fit(CONFIG, TABLE, SPLIT, run=run))
    assert not (tmp_path / "pwned").exists()


def test_a_damaged_file_is_refused(run: RunFolder) -> None:
    training = fit(CONFIG, TABLE, SPLIT, run=run)
    next(training)
    training.close()
    content = run.resume_file.read_bytes()
    for damaged in (content[: len(content) // 2], b"", content[:100] + b"\0" * 100 + content[200:]):
        run.resume_file.write_bytes(damaged)
        with pytest.raises(RunError, match="delete"):
            list(fit(CONFIG, TABLE, SPLIT, run=run))


@pytest.mark.parametrize("other", [tiny_config("batch_size=8", "epochs=3"), tiny_config("batch_size=8", "seed=1")])
def test_the_state_of_another_configuration_is_refused(run: RunFolder, other: RunConfig) -> None:
    training = fit(CONFIG, TABLE, SPLIT, run=run)
    next(training)
    training.close()
    with pytest.raises(RunError, match="another configuration or split"):
        list(fit(other, TABLE, SPLIT, run=run))


def test_a_state_from_before_a_setting_existed_is_taken_up(run: RunFolder) -> None:
    training = fit(CONFIG, TABLE, SPLIT, run=run)
    next(training)
    training.close()
    state = torch.load(run.resume_file, weights_only=True)
    config = json.loads(state["config"])
    del config["prep"]["slice_choice"]
    del state["gradient_norms"], state["weights"]
    state["records"] = [json.dumps(_without_new_fields(text)) for text in state["records"]]
    torch.save(state | {"config": json.dumps(config)}, run.resume_file)
    assert [record.epoch for record in fit(CONFIG, TABLE, SPLIT, run=run)] == [2]
    assert [record.gradient_norm is None for record in run.epochs()] == [True, False]


def _without_new_fields(record: str) -> dict[str, object]:
    """An epoch's record as the first version wrote it."""
    later = ("gradient_norm", "gradient_norm_max", "memory_bytes", "gpu_memory_bytes")
    shown = ("train_histogram", "val_histogram", "val_predicted")
    ends = tuple(
        f"{part}_{name}_{end}" for part in ("train", "val") for name in ("loss", "accuracy") for end in ("low", "high")
    )
    return {name: value for name, value in json.loads(record).items() if name not in (*later, *shown, *ends)}


def test_the_file_that_a_run_started_from_may_be_gone(settings: Settings, source: DataSource, tmp_path: Path) -> None:
    network, _ = build_model(TINY_NETWORK.name, 2, "none", 7)
    weights = tmp_path / "start.safetensors"
    save_file(network.state_dict(), weights)
    config = tiny_config("epochs=2", f"weights={weights}")
    whole = run_training(settings, config, source, name="whole")
    broken = RunFolder.create(settings, config, source, "broken", state="running")
    with pytest.raises(KeyboardInterrupt):
        train(broken, settings, on_epoch=_interrupt)
    weights.unlink()
    train(broken, settings)
    assert [record.model_dump(exclude=set(MACHINE_FIELDS)) for record in broken.epochs()] == [
        record.model_dump(exclude=set(MACHINE_FIELDS)) for record in whole.epochs()
    ]
    ours, theirs = read_card(broken.checkpoint), read_card(whole.checkpoint)
    assert ours.weights_origin == theirs.weights_origin
    assert ours.weights_origin.startswith("start.safetensors (SHA-256 ")
    assert broken.weights_summary() == whole.weights_summary()


def _interrupt(record: EpochRecord) -> None:
    raise KeyboardInterrupt
