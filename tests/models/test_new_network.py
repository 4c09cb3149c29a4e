"""A new network is one file with torch and one entry: it is costed, built, saved, loaded and mapped with no other edit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.config import PrepConfig, RunConfig
from core.data.prepare.slices import PreparedSeries
from core.errors import CheckpointError
from core.explain.cam import explain
from core.inference.predict import Predictor
from core.models.card import read_card
from core.models.checkpoint import load_model, save_checkpoint
from core.models.registry import ARCHITECTURES, IMAGENET, Architecture
from core.models.weights import build_model
from core.models.zoo import find_cost
from core.settings import PROJECT_ROOT

SOURCE = """
import torch
from torch import nn

class Toy(nn.Module):
    def __init__(self, class_count, width):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), nn.ReLU())
        self.fc = nn.Linear(width, class_count)

    def forward(self, images):
        return self.fc(self.features(images).mean(dim=(2, 3)))

    def rename_pretrained(self, name):
        return [f"features.0.{name.removeprefix('stem.')}"] if name.startswith("stem.") else []
"""

WriteCheckpoint = Callable[..., Path]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Architecture:
    (tmp_path / "toy_network.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    entry = Architecture(
        name="toy", title="Toy", network="toy_network:Toy", arguments={"width": 4}, input_form="slice",
        normalisation=IMAGENET, target_layer="features.1", head="fc", pretrained=None,
    )  # fmt: skip
    monkeypatch.setitem(ARCHITECTURES, entry.name, entry)
    monkeypatch.delitem(sys.modules, "toy_network", raising=False)
    return entry


def test_its_cost_is_counted_from_the_network(toy: Architecture) -> None:
    cost = find_cost(toy)
    assert cost.parameters == 3 * 4 * 9 + 4 * 2 + 2
    assert cost.multiply_adds == 112 * 112 * 4 * 27 + 4 * 2


def test_it_takes_published_weights_under_its_own_names(toy: Architecture, tmp_path: Path) -> None:
    published = {"stem.weight": torch.rand(4, 3, 3, 3), "classifier.weight": torch.rand(9, 4)}
    torch.save(published, tmp_path / "published.pth")
    model, report = build_model("toy", 2, str(tmp_path / "published.pth"), 0)
    assert torch.equal(model.state_dict()["features.0.weight"], published["stem.weight"])
    assert (report.matched, report.missing) == (1, ("fc.weight", "fc.bias"))


def test_it_is_saved_loaded_and_mapped(
    toy: Architecture, write_checkpoint: WriteCheckpoint, prepared: PreparedSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig(prep=PrepConfig(size_px=64, slice_count=3), weights="none", architecture="toy")
    path = write_checkpoint(config=config)
    model, _ = build_model("toy", 2, "none", 1)
    save_checkpoint(path, model.state_dict(), read_card(path))
    cam = explain(Predictor(path), prepared, 0, target_class=1)
    assert (cam.heat.shape, cam.target_layer) == ((64, 64), "features.1")
    monkeypatch.delitem(ARCHITECTURES, "toy")
    with pytest.raises(CheckpointError, match="lacks: There is no architecture 'toy'"):
        load_model(path)


def test_a_class_itself_may_stand_in_an_entry() -> None:
    entry = Architecture(
        name="mine", title="Mine", network=torch.nn.LazyLinear, arguments={"bias": False}, input_form="slice",
        normalisation=IMAGENET, target_layer="0", head="0", pretrained=None,
    )  # fmt: skip
    built = entry.build(5)
    assert isinstance(built, torch.nn.LazyLinear)
    assert built.out_features == 5


def test_reading_the_registry_imports_no_torch() -> None:
    code = (
        "import sys, core.models.registry as registry\n"
        "assert all(isinstance(entry.network, str) for entry in registry.ARCHITECTURES.values())\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=False).returncode == 0
