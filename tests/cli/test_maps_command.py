"""maps, as a person types it, with the checkpoint that ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.data.phantom import PhantomConfig, make_phantom
from tests.cli.commands import Command


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps") / "cohort"
    make_phantom(folder, PhantomConfig(studies=2, signal=3, slices=8, size=64), jobs=1)
    return folder


def test_each_map_has_its_figures_and_controls(command: Command, patients: Path) -> None:
    result = command("maps", "demo-synthetic", patients, "--studies", 2, "--method", "gradcam",
                     "--layer", "layer3.1", "--json")  # fmt: skip
    assert result.status == 0, result.stderr
    (score,) = result.json["scores"]
    assert (score["method"], score["layer"]) == ("gradcam", "layer3.1")
    assert score["hits"]["n"] == result.json["pictures"]
    assert 0 < result.json["chance"]["value"] < 0.5
    assert len(score["similarity"]) == len(result.json["stages"])


def test_a_layer_that_is_not_offered_is_refused(command: Command, patients: Path) -> None:
    command("maps", "demo-synthetic", patients, "--layer", "fc").assert_refused("layer4.1, layer3.1, layer2.1")
