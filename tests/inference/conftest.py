"""A small checkpoint with random weights, and prepared pictures made without any reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.config import PrepConfig, RunConfig
from core.data.prepare import PictureFrame, PreparedSeries
from core.models.checkpoint import CheckpointCard, save_checkpoint
from core.models.weights import build_model
from core.mri import CLASS_NAMES, MRSequence

SIZE = 64


@pytest.fixture
def write_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a ResNet18 checkpoint whose card has the given fields."""

    def write(name: str = "tiny", **changes: Any) -> Path:
        fields: dict[str, Any] = {
            "name": name,
            "config": RunConfig(prep=PrepConfig(size_px=SIZE, slice_count=3), weights="none"),
            "class_names": CLASS_NAMES,
            "positive_class": 1,
            "sequences": (MRSequence.FLAIR, MRSequence.T2W),
            "synthetic": False,
            "cohort_digest": "0" * 12,
            "split_unit": "patient",
            "split_digest": "0" * 12,
            "patients": {"train": 6, "val": 2, "test": 2},
            "weights_origin": "random",
            "reproduction": False,
            "epoch": 1,
        }
        card = CheckpointCard(**(fields | changes))
        model, _ = build_model("resnet18", len(card.class_names), "none", seed=3)
        path = tmp_path / f"{name}.safetensors"
        save_checkpoint(path, model.state_dict(), card)
        return path

    return write


@pytest.fixture
def prepared() -> PreparedSeries:
    """Five pictures of blurred noise, each with its own brightness."""
    generator = np.random.default_rng(5)
    coarse = generator.uniform(40, 250, (5, SIZE // 8, SIZE // 8))
    pixels = np.kron(coarse, np.ones((8, 8))).astype(np.uint8)
    frame = PictureFrame(
        source_shape=(SIZE, SIZE),
        row_start=0,
        row_stop=SIZE,
        column_start=0,
        column_stop=SIZE,
        top=0,
        bottom=SIZE,
        left=0,
        right=SIZE,
    )
    return PreparedSeries(
        pixels=pixels,
        slice_index=np.array([4, 6, 8, 10, 12], dtype=np.int32),
        position_mm=np.array([0.0, 5.0, 10.0, 15.0, 20.0]),
        files=tuple(f"Image-{number}.dcm" for number in range(5)),
        frames=(frame,) * 5,
        slice_total=16,
        blank_count=2,
    )
