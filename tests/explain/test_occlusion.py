"""Occlusion marks what the answer rests on, in images, volumes and streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.explain.occlusion import list_windows, occlude
from core.inference.predict import Predictor


@pytest.fixture
def predictor(write_checkpoint: Callable[..., Path]) -> Predictor:
    return Predictor(write_checkpoint())


def test_windows_cover_every_place() -> None:
    for shape, counts in (((50, 50), (5, 5)), ((7, 33, 33), (3, 5, 5)), ((2, 4, 4), (3, 5, 5))):
        covered = np.zeros(shape, int)
        for window in list_windows(shape, counts):
            covered[window] += 1
        assert covered.min() > 0


@pytest.mark.parametrize("target", [0, 1])
def test_the_place_that_the_answer_rests_on_is_marked(
    target: int, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(block: NDArray[np.uint8]) -> NDArray[np.float32]:
        bright = block[:, 10:16, 30:36].astype(np.float32).mean(axis=(1, 2)) / 10
        return np.stack([-bright, bright], axis=1) * (1 if target else -1)

    monkeypatch.setattr(predictor.engine, "score", score)
    image = np.full((1, 48, 48), 40, np.uint8)
    image[0, 10:16, 30:36] = 255
    image[0, :, :8] = 0
    before = image.copy()
    (heat,) = occlude(predictor, image, target)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert abs(row - 13) <= 5
    assert abs(column - 33) <= 5
    assert heat[40:, :20].max() == 0
    (opposite,) = occlude(predictor, image, 1 - target)
    assert opposite.max() < heat.max() / 10
    np.testing.assert_array_equal(image, before)
