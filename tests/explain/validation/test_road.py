"""ROAD: removed pixels are imputed from their neighbours, and the answer falls where it rests on what is marked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.explain.validation.road import measure_road, remove_pixels

SIDE = 48


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """A bright square in a grey head, black above it."""
    drawn = np.full((3, SIDE, SIDE), 60, np.uint8)
    drawn[:, :4] = 0
    drawn[:, 20:28, 20:28] = 250
    return drawn


@pytest.fixture
def spot(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Maps of the square and its border."""
    marked = np.zeros(images.shape, np.float32)
    marked[:, 18:30, 18:30] = 1
    return marked


def test_the_most_marked_pixels_of_the_head_are_imputed(images: NDArray[np.uint8], spot: NDArray[np.float32]) -> None:
    share = 144 / (44 * SIDE)
    without = remove_pixels(images[0], spot[0], share, np.random.default_rng(0))
    marked = spot[0] > 0
    np.testing.assert_array_equal(without[~marked], images[0][~marked])
    assert abs(without[marked].astype(float) - 60).max() < 15  # grey of the surroundings, with noise of 1%
    assert without[marked].std() > 1
    least = remove_pixels(images[0], -spot[0], share, np.random.default_rng(0))
    np.testing.assert_array_equal(least[marked], images[0][marked])
    assert (least[:4] == 0).all()
    np.testing.assert_array_equal(remove_pixels(images[0], spot[0], 0.0, np.random.default_rng(0)), images[0])


def test_a_map_of_what_the_answer_rests_on_scores_above_one_of_the_rest(
    images: NDArray[np.uint8], spot: NDArray[np.float32]
) -> None:
    def score(shown: NDArray[np.uint8]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = shown[:, 20:28, 20:28].astype(np.float64).mean(axis=(1, 2)) / 50
        return result

    state = torch.get_rng_state()
    right = measure_road(images, spot, score, shares=(0.08,))
    wrong = measure_road(images, 1 - spot, score, shares=(0.08,))
    nothing = measure_road(images, np.ones_like(spot), score, shares=(0.08,))
    assert (right > 1).all()
    assert (wrong < -1).all()
    assert (abs(nothing) < 0.5).all()
    assert (images[:, :4] == 0).all()
    assert torch.equal(torch.get_rng_state(), state)
