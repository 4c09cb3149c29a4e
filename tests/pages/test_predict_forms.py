"""The Predict page with a checkpoint of each form: its answer, its maps, and a sequence that is not there."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.config import apply_settings
from core.data.cohort import scan_cohort
from core.explain.volume_map import VolumeImages
from core.models.card import CheckpointCard, replace_card
from core.models.checkpoint import save_checkpoint
from core.models.registry import find_architecture
from core.models.weights import build_model
from core.mri import CLASS_NAMES, MRSequence
from core.presets import find_preset
from core.settings import Settings
from tests.pages.reading import App, words
from ui.predict.prediction import layer_titles
from ui.widgets.planes import FAILED, _pack
from ui.widgets.state import Scan
from ui.widgets.viewer import PLANES

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

    volumes = watch_volumes(monkeypatch)
    app.session_state["viewer.show"] = PLANES
    app.run()
    assert not app.exception
    assert not app.error
    (images,) = volumes
    grey, heat = (nibabel.Nifti1Image.from_bytes(one) for one in (images.grey, images.heat))
    assert grey.shape == heat.shape
    assert np.array_equal(grey.affine, heat.affine)
    if card.config.prep.grid_mm:
        assert heat.header.get_zooms() == pytest.approx((1, 1, 12))
    start = np.rint(np.linalg.inv(heat.affine) @ [*images.start_mm, 1])[:3].astype(int)
    assert heat.get_fdata()[tuple(start)] == heat.get_fdata().max() > 0


def watch_volumes(monkeypatch: pytest.MonkeyPatch) -> list[VolumeImages]:
    """What is handed to the browser."""
    handed: list[VolumeImages] = []

    def pack(images: VolumeImages, label: str) -> bytes:
        handed.append(images)
        return _pack(images, label)

    monkeypatch.setattr("ui.widgets.planes._pack", pack)
    return handed


def shows_colours(app: AppTest) -> bool:
    """Whether the map's colours stand under it, between the words for their ends."""
    pictures = [picture.alt for element in app.get("image") for picture in element.proto.imgs]
    return "colours of the map" in pictures and "nothing\nthe strongest place of all slices" in words(app)


def test_three_planes_are_chosen_by_series_and_slices_stand_in_where_the_browser_cannot(
    open_app: App, with_checkpoint: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = watch_volumes(monkeypatch)
    app = open_app("predict.py")
    app.session_state["scan"] = Scan(kind="path", place=str(sorted((phantom_folder / "train").iterdir())[0]))
    app.run()
    assert not volumes, "the first answer waits for no volume"
    assert shows_colours(app)
    sliders = len(app.select_slider)
    app.segmented_control(key="viewer.show").set_value(PLANES).run()
    assert len(volumes) == 1
    assert len(app.select_slider) < sliders
    assert shows_colours(app)
    pictures = [button for button in app.button if button.label in ("FLAIR", "T1w", "T1wCE", "T2w")]
    assert len(pictures) == 4
    pictures[3].click().run()
    assert volumes[1].grey != volumes[0].grey

    app.session_state[FAILED] = "no WebGL 2 in *this* browser"
    app.run()
    assert not app.exception
    assert len(app.select_slider) == sliders
    assert r"which failed here (no WebGL 2 in *this* browser)" in words(app)
    assert "Show" not in [one.label for one in app.segmented_control]


def write_variants(with_checkpoint: Path, folder: Path, **changes: dict[str, Any]) -> None:
    """The checkpoint under other names, each with changes to its card, in place of the one that there was."""
    folder.mkdir(exist_ok=True)
    for name, change in changes.items():
        path = Path(shutil.copy(with_checkpoint, folder / f"{name}.safetensors"))
        replace_card(path, partial(CheckpointCard.model_copy, update={"name": name} | change))
    with_checkpoint.unlink()


def choose(app: AppTest, folder: Path, name: str) -> None:
    box = next(box for box in app.selectbox if box.label == "Checkpoint")
    box.set_value(str(folder / f"{name}.safetensors")).run()
    assert not app.exception
    assert not app.error


def test_another_checkpoint_turns_three_planes_to_a_series_that_it_saw(
    open_app: App, with_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_checkpoint.parent
    write_variants(
        with_checkpoint,
        folder,
        flair={"sequences": (MRSequence.FLAIR,)},
        t2w={"sequences": (MRSequence.T2W,)},
        both={"sequences": (MRSequence.FLAIR, MRSequence.T2W)},
    )
    volumes = watch_volumes(monkeypatch)
    app = open_app("predict.py")
    app.session_state["viewer.show"] = PLANES
    app.button(key="predict.sample").click().run()
    for name in ("flair", "t2w", "both"):
        choose(app, folder, name)
        assert volumes[-1].heat, name
    for sequence in ("FLAIR", "T2w"):
        choose(app, folder, "both")
        next(button for button in app.button if button.label == sequence).click().run()
        choose(app, folder, "flair" if sequence == "T2w" else "t2w")
        assert volumes[-1].heat, f"{sequence} was chosen for a checkpoint that saw it"


def test_shipped_checkpoints_that_disagree_dispute_the_answer_and_the_map_follows_each(
    open_app: App, home: Settings, with_checkpoint: Path
) -> None:
    folder = home.shipped_checkpoints
    write_variants(with_checkpoint, folder, low={"threshold": 0.0}, high={"threshold": 1.0})
    app = open_app("predict.py")
    app.button(key="predict.sample").click().run()
    assert "disputed" in words(app), "the other was asked by itself"
    for name, answer in (("low", "methylated"), ("high", "unmethylated"), ("low", "methylated")):
        choose(app, folder, name)
        assert next(box for box in app.selectbox if box.label == "Speaks for").value == CLASS_NAMES.index(answer)
        assert f"## {answer.capitalize()}, disputed" in words(app)


def test_among_many_visitors_an_upload_asks_the_other_checkpoint_on_request_alone(
    open_app: App, home: Settings, with_checkpoint: Path, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_variants(with_checkpoint, home.shipped_checkpoints, low={"threshold": 0.0}, high={"threshold": 1.0})
    monkeypatch.setenv("MGMT_LAB_MODE", "hosted")
    app = open_app("predict.py")
    app.button(key="predict.sample").click().run()
    assert "disputed" in words(app)
    assert not [one for one in app.button if one.label.startswith("Ask ")]
    shutil.copytree(sorted((phantom_folder / "train").iterdir())[0], home.home / "received" / "files")
    app.session_state["scan"] = Scan(kind="upload", place=str(home.home / "received"))
    app.run()
    assert not app.exception
    assert "disputed" not in words(app)
    next(one for one in app.button if one.label.startswith("Ask ")).click().run()
    assert "disputed" in words(app)


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
