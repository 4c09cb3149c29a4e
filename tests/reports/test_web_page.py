"""What export web refuses, and that the page goes by core's own rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from core.data.sequences.tables import TABLES
from core.data.voxels import MARGIN
from core.errors import CheckpointError, StorageError
from core.models.card import read_card
from core.reports import web_page
from core.settings import PROJECT_ROOT

SHIPPED = PROJECT_ROOT / "checkpoints" / "demo-synthetic-t1wce.safetensors"


def test_the_rules_are_cores_own() -> None:
    rules = web_page.collect_rules()
    assert rules["tables"] is TABLES
    assert rules["constants"]["MARGIN"] == MARGIN
    assert rules["tags"]["Modality"] == "00080060"


def test_the_network_has_the_tested_map_and_half_its_weights_size() -> None:
    content, described = web_page._build_network(SHIPPED, read_card(SHIPPED))
    assert (described["method"], described["layer"]) == ("layercam-smooth", "layer2.1")
    assert described["weights"] == "float16"
    assert described["weights_difference"] <= web_page.TOLERANCE
    assert len(content) < 25_000_000
    kept = [one for one in onnx.load_model_from_string(content).graph.initializer if len(one.dims) == 4]
    assert {one.data_type for one in kept if int(np.prod(one.dims)) > 100} == {onnx.TensorProto.FLOAT16}


def test_a_preparation_that_the_page_lacks_is_refused_by_name() -> None:
    card = read_card(SHIPPED)
    other = card.config.prep.model_copy(update={"contrast": "clahe"})
    with pytest.raises(CheckpointError, match="equalisation of contrast"):
        web_page._refuse(SHIPPED, card.model_copy(update={"config": card.config.model_copy(update={"prep": other})}))


def test_without_the_packages_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_page, "WEB", tmp_path)
    with pytest.raises(StorageError, match="npm ci"):
        web_page.export_web(SHIPPED, tmp_path / "page")


def test_a_page_that_is_too_large_says_so_with_its_size() -> None:
    fitting = {"network.onnx": 22_000_000, "vendor/ort.wasm": 17_000_000}
    assert web_page.describe_excess(fitting) == ""
    said = web_page.describe_excess({**fitting, "network.onnx": 93_100_000})
    assert "110.1 MB (the network is 93.1 MB), more than the 45 MB" in said
    assert "\n" not in said
