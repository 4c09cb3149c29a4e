"""maps, as a person types it, with the checkpoint that ships."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.explain.validation.saliency_record import read_saliency_record
from core.models.card import read_card
from core.models.card_text import describe_card
from core.phantom.config import PhantomConfig
from core.settings import PROJECT_ROOT
from tests.cli.commands import Command
from tests.phantoms import copy_phantom

SHIPPED = PROJECT_ROOT / "checkpoints" / "demo-synthetic-t1wce.safetensors"


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=2, signal=3, slices=8, size=64))
    return folder


def test_each_map_has_its_figures_and_controls(command: Command, patients: Path) -> None:
    result = command("maps", "demo-synthetic-t1wce", patients, "--studies", 2, "--method", "gradcam",
                     "--layer", "layer3.1", "--json")  # fmt: skip
    assert result.status == 0, result.stderr
    (score,) = result.json["scores"]
    assert (score["method"], score["layer"]) == ("gradcam", "layer3.1")
    assert score["hits"]["n"] == result.json["pictures"]
    assert 0 < result.json["chance"]["value"] < 0.5
    assert len(score["similarity"]) == len(result.json["stages"])


def test_a_layer_that_is_not_offered_is_refused(command: Command, patients: Path) -> None:
    command("maps", "demo-synthetic", patients, "--layer", "fc").assert_refused("layer4.1, layer3.1, layer2.1")


def test_one_map_named_beforehand_is_kept_on_the_card(command: Command, patients: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    shutil.copy(SHIPPED, file)
    (tmp_path / "mine.md").write_text(describe_card(read_card(file)))
    before = load_file(file)
    asked = ("maps", file, patients, "--studies", 2, "--layer", "layer3.1", "--keep")
    command(*asked, "--method", "layercam", "--method", "gradcam").assert_refused("one --method and one --layer")
    assert read_card(file) == read_card(SHIPPED)
    result = command(*asked, "--method", "layercam", "--json")
    assert result.status == 0, result.stderr
    test = read_saliency_record(read_card(file))
    assert test is not None
    assert (test.method, test.layer, test.pictures) == ("layercam", "layer3.1", result.json["pictures"])
    assert test.hits.to_dict() == result.json["scores"][0]["hits"]
    assert "layercam at layer3.1" in (tmp_path / "mine.md").read_text()
    after = load_file(file)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_maps_that_are_written_begin_with_the_tested_one(command: Command, patients: Path, tmp_path: Path) -> None:
    study = next((patients / "train").iterdir())
    result = command("explain", "demo-synthetic-t1wce", study, "--out", tmp_path / "a", "--json").json
    assert (result["method"], result["target_layer"]) == ("layercam-smooth", "layer2.1")
    result = command(
        "explain", "demo-synthetic-t1wce", study, "--method", "gradcam", "--out", tmp_path / "b", "--json"
    ).json
    assert (result["method"], result["target_layer"]) == ("gradcam", "layer4.1")
