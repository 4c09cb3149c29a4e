"""The Predict page with a checkpoint of each form: its answer, its maps, and a sequence that is not there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.config import apply_settings
from core.data.cohort import scan_cohort
from core.models.card import CheckpointCard
from core.models.checkpoint import save_checkpoint
from core.models.registry import find_architecture
from core.models.weights import build_model
from core.presets import find_preset
from core.settings import Settings
from tests.pages.reading import App, words
from ui.predict.prediction import layer_titles
from ui.widgets.state import Scan

PRESETS = ("volumetric", "two-stage", "multistream", "attention", "spatiospatial-mc3")


def write_checkpoint(home: Settings, preset: str) -> CheckpointCard:
    """A preset made small, with random weights."""
    small = ["size_px=32", "slice_count=4", "weights=none"]
    config = find_preset(preset).config
    config = apply_settings(config, [*small, *(["grid_mm=12"] if config.prep.grid_mm else [])])
    model, _ = build_model(config.architecture, 2, "none", 0)
    card = CheckpointCard(
        name=preset,
        config=config,
        class_names=("unmethylated", "methylated"),
        positive_class=1,
        sequences=config.prep.sequences,
        synthetic=True,
        cohort_digest="0" * 12,
        split_unit="patient",
        split_digest="0" * 12,
        patients={"train": 2, "val": 1, "test": 1},
        weights_origin="random",
        reproduction=False,
        epoch=1,
        metrics={},
    )
    home.checkpoints.mkdir(parents=True)
    save_checkpoint(home.checkpoints / f"{preset}.safetensors", model.state_dict(), card)
    return card


@pytest.mark.parametrize("preset", PRESETS)
def test_a_study_is_answered_and_mapped(
    preset: str, open_app: App, home: Settings, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, int]] = []
    monkeypatch.setattr("ui.widgets.viewer.blend", lambda image, heat, opacity: drawn.append(heat.shape) or image)
    card = write_checkpoint(home, preset)
    study = sorted((phantom_folder / "train").iterdir())[0]
    app = open_app("predict.py")
    app.session_state["scan"] = Scan(kind="path", place=str(study))
    app.run()
    assert not app.exception
    assert not app.error
    assert 0 <= float(app.metric[0].value) <= 1
    # One map over each sequence that the network saw.
    assert len(drawn) == len(card.sequences)
    detail = next(box for box in app.selectbox if box.label == "Detail")
    layers = (find_architecture(card.config.architecture).target_layer, *layer_titles(card))
    assert detail.value == layers[0]
    assert len(detail.options) == len(layer_titles(card))


def test_a_study_without_a_sequence_is_answered_and_the_page_says_so(
    open_app: App, home: Settings, phantom_folder: Path, tmp_path: Path
) -> None:
    write_checkpoint(home, "multistream")
    study = sorted((phantom_folder / "train").iterdir())[0]
    shutil.copytree(study, tmp_path / study.name, ignore=shutil.ignore_patterns("T2w"))
    assert len(scan_cohort(tmp_path).studies) == 1
    app = open_app("predict.py")
    app.session_state["scan"] = Scan(kind="path", place=str(tmp_path / study.name))
    app.run()
    assert not app.exception
    assert not app.error
    assert app.metric
    assert "The study has no T2w; the answer rests on FLAIR, T1wCE alone." in words(app)
