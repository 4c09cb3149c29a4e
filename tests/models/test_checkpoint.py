"""Checkpoints: the same answers after a round trip, the card without torch, every damage told."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from core.config import RunConfig
from core.errors import CheckpointError, StorageError
from core.models.card import BEST, CheckpointCard, read_card
from core.models.catalogue import checkpoint_name, find_checkpoint, list_checkpoints
from core.models.checkpoint import load_model, save_checkpoint
from core.models.weights import build_model
from core.mri import CLASS_NAMES, MRSequence
from core.settings import PROJECT_ROOT, Settings

CARD = CheckpointCard(
    name="unit",
    config=RunConfig(),
    class_names=CLASS_NAMES,
    positive_class=1,
    sequences=(MRSequence.FLAIR,),
    synthetic=True,
    cohort_digest="c",
    split_unit="patient",
    split_digest="s",
    patients={"train": 3},
    weights_origin="random",
    reproduction=False,
    epoch=2,
    temperature=1.7,
    intensity={"FLAIR": [0.5] * 2},
)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """A ResNet18 whose batch statistics are not the initial ones."""
    model, _ = build_model("resnet18", 2, "none", 0)
    with torch.no_grad():
        model(torch.rand(4, 3, 32, 32))
    return model.eval()


@pytest.fixture
def path(model: nn.Module, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "a.safetensors", model.state_dict(), CARD)
    return tmp_path / "a.safetensors"


def test_a_round_trip_gives_the_same_logits(model: nn.Module, path: Path) -> None:
    before = torch.get_rng_state()
    loaded, card = load_model(path)
    assert torch.equal(before, torch.get_rng_state())
    assert card == CARD
    assert not any(module.training for module in loaded.modules())
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(images), model(images))


def test_channels_last_weights_are_stored_alike(model: nn.Module, path: Path, tmp_path: Path) -> None:
    state = {
        name: value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
        for name, value in model.state_dict().items()
    }
    save_checkpoint(tmp_path / "b.safetensors", state, CARD)
    assert (tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_half_is_half_as_large_and_loads_as_float32(model: nn.Module, path: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    save_checkpoint(half, model.state_dict(), CARD, half=True)
    assert half.stat().st_size < 0.51 * path.stat().st_size
    loaded, _ = load_model(half)
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32, torch.int64}
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), model(images), atol=0.002, rtol=0.002)
    assert model.conv1.weight.dtype == torch.float32


def test_vectors_stay_whole_and_what_float16_cannot_hold_is_not_lost(model: nn.Module, tmp_path: Path) -> None:
    state = dict(model.state_dict())
    state["fc.weight"] = state["fc.weight"].clone()
    state["fc.weight"][0, 0] = 1e6
    save_checkpoint(tmp_path / "half.safetensors", state, CARD, half=True)
    stored = load_file(tmp_path / "half.safetensors")
    assert stored["conv1.weight"].dtype == torch.float16
    assert stored["fc.weight"].dtype == torch.bfloat16
    assert stored["fc.weight"][0, 0].item() == pytest.approx(1e6, rel=0.01)
    torch.testing.assert_close(stored["bn1.running_var"], state["bn1.running_var"], rtol=0, atol=0)


def test_the_card_is_read_without_torch(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from core.models.card import read_card;"
        "print(read_card(Path(sys.argv[1])).name, 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, cwd=PROJECT_ROOT)
    assert answer.stdout.split() == ["unit", "False"], answer.stderr


def with_header(path: Path, change: object) -> None:
    """Rewrite a file's header by a function of its content."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)  # type: ignore[operator]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def change_card(**change: object):  # type: ignore[no-untyped-def]
    def apply(header: dict[str, dict[str, str]]) -> None:
        header["__metadata__"]["card"] = json.dumps(json.loads(header["__metadata__"]["card"]) | change)

    return apply


DAMAGES = {
    "empty": (lambda path: path.write_bytes(b""), "is not a safetensors file"),
    "text": (lambda path: path.write_text("hello world, this is no checkpoint"), "is not a safetensors file"),
    "zeros": (lambda path: path.write_bytes(bytes(5000)), "not a safetensors file"),
    "boast": (lambda path: path.write_bytes(b"\xff" * 9000), "is not a safetensors file"),
    "list": (lambda path: path.write_bytes((2).to_bytes(8, "little") + b"[]"), "its header is damaged"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is cut short"),
    "cut early": (lambda path: path.write_bytes(path.read_bytes()[:50]), "it is cut short"),
    "no metadata": (lambda path: with_header(path, lambda header: header.pop("__metadata__")), "carries no model card"),
    "no card": (lambda path: with_header(path, lambda header: header["__metadata__"].clear()), "carries no model card"),
    "odd metadata": (
        lambda path: with_header(path, lambda header: header.update(__metadata__=[1])),
        "carries no model",
    ),
    "card is text": (
        lambda path: with_header(path, lambda header: header.update(__metadata__={"card": "{"})),
        "damaged",
    ),
    "card is a list": (
        lambda path: with_header(path, lambda header: header.update(__metadata__={"card": "[]"})),
        "damaged",
    ),
    "newer": (lambda path: with_header(path, change_card(schema_version=2)), "is of checkpoint schema 2, this version"),
    "key missing": (lambda path: with_header(path, change_card(class_names=None)), "is damaged: class_names"),
    "key unknown": (lambda path: with_header(path, change_card(colour="red")), "is damaged: colour"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_told(path: Path, damage: str) -> None:
    harm, message = DAMAGES[damage]
    harm(path)
    for read in (read_card, load_model):
        with pytest.raises(CheckpointError, match=message):
            read(path)


def test_tensors_of_another_network_are_told(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for state, change in (
        (model.state_dict(), {"class_names": ("a", "b", "c")}),
        ({name: value for name, value in model.state_dict().items() if name != "conv1.weight"}, {}),
        ({**model.state_dict(), "extra": torch.zeros(1)}, {}),
    ):
        save_checkpoint(path, state, CARD.model_copy(update=change))
        with pytest.raises(CheckpointError, match=r"are not those of resnet18 with [23] classes"):
            load_model(path)
    save_checkpoint(path, {}, CARD.model_copy(update={"config": RunConfig(architecture="vit")}))
    with pytest.raises(
        CheckpointError, match="needs a network that this version lacks: There is no architecture 'vit'"
    ):
        load_model(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be opened"):
        read_card(tmp_path / "none.safetensors")


def test_a_full_disk_leaves_the_old_checkpoint(path: Path, model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"a\.safetensors cannot be written: no space"):
        save_checkpoint(path, model.state_dict(), CARD.model_copy(update={"name": "other"}))
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.fixture
def shelf(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two shipped ones, two own and two runs, one of them without a checkpoint; ages by number."""
    monkeypatch.setattr(Settings, "shipped_checkpoints", property(lambda self: tmp_path / "shipped"))
    files = [
        tmp_path / "shipped" / "demo-two.safetensors",
        settings.checkpoints / "mine.safetensors",
        settings.runs / "calm-fox" / BEST,
        tmp_path / "shipped" / "demo-one.safetensors",
        settings.checkpoints / "aged.safetensors",
    ]
    for age, path in enumerate(files):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        os.utime(path, (1e9 - age, 1e9 - age))
    (settings.runs / "new-owl").mkdir()
    (settings.checkpoints / "README.md").write_text("")
    return settings


def test_the_list_has_the_shipped_first_then_the_newest(shelf: Settings) -> None:
    assert [checkpoint_name(path) for path in list_checkpoints(shelf)] == [
        "demo-one",
        "demo-two",
        "mine",
        "calm-fox",
        "aged",
    ]


def test_a_checkpoint_stands_once_where_shipped_and_own_are_one_folder(
    shelf: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "shipped_checkpoints", property(lambda self: self.checkpoints))
    shipped = shelf.checkpoints / "demo-one.safetensors"
    shipped.write_bytes(b"")
    os.utime(shipped, (1e9 - 9, 1e9 - 9))
    assert [checkpoint_name(path) for path in list_checkpoints(shelf)] == ["demo-one", "mine", "calm-fox", "aged"]


def test_nothing_there_is_an_empty_list(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "shipped_checkpoints", property(lambda self: tmp_path / "nowhere"))
    assert list_checkpoints(settings) == []
    with pytest.raises(CheckpointError, match=r"There is no checkpoint 'demo'\. Train one"):
        find_checkpoint("demo", settings)


def test_names_folders_and_files_are_found(shelf: Settings, tmp_path: Path) -> None:
    shipped, run = tmp_path / "shipped" / "demo-one.safetensors", shelf.runs / "calm-fox" / BEST
    for name in ("demo-one", "demo-one.safetensors", str(shipped)):
        assert find_checkpoint(name, shelf) == shipped
    for name in ("calm-fox", str(run), str(run.parent)):
        assert find_checkpoint(name, shelf) == run


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("demmo", "no checkpoint 'demmo'. There are: demo"),
        ("new-owl", "new-owl has no best.safetensors yet"),
        (".", "is a folder without a checkpoint; name a .safetensors file"),
        ("../checkpoints/mine", "There is no checkpoint '../checkpoints/mine'"),
        ("*", r"There is no checkpoint '\*'"),
        ("", "There is no checkpoint"),
        ("~nobody-of-that-name/a", "There is no checkpoint"),
        ("a\0b", "There is no checkpoint"),
        ("x" * 5000, "There is no checkpoint"),
    ],
)
def test_what_is_not_there_is_told(
    shelf: Settings, tmp_path: Path, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        find_checkpoint(name, shelf)
