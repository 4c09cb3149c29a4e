"""ROAD: what is taken away is filled as its authors do, and the answer falls where it rests on what is marked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from scipy.ndimage import gaussian_filter

from core.explain.validation.road import impute, measure_road

SIDE = 48


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_filled_pixels_are_those_of_the_authors(share: float, generator: np.random.Generator) -> None:
    image = generator.random((SIDE, SIDE))
    field = gaussian_filter(generator.random((SIDE, SIDE)), 4)
    hidden = field >= np.quantile(field, 1 - share)
    theirs = NoisyLinearImputer(noise=0)(
        torch.from_numpy(image.astype(np.float32))[None], torch.from_numpy((~hidden).astype(np.float32))
    )
    ours = impute(image, hidden)
    np.testing.assert_allclose(ours, theirs[0].numpy(), atol=1e-5)
    np.testing.assert_array_equal(ours[~hidden], image[~hidden])
    np.testing.assert_array_equal(impute(image, np.zeros_like(hidden)), image)


def test_a_map_of_what_the_answer_rests_on_scores_above_one_of_the_rest(generator: np.random.Generator) -> None:
    images = np.full((3, SIDE, SIDE), 60, np.uint8)
    images[:, :4] = 0  # outside the head
    images[:, 20:28, 20:28] = 250
    spot = np.zeros(images.shape, np.float32)
    spot[:, 18:30, 18:30] = 1

    def score(shown: NDArray[np.uint8]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = shown[:, 20:28, 20:28].astype(np.float64).mean(axis=(1, 2)) / 50
        return result

    right = measure_road(images, spot, score, shares=(0.08,))
    wrong = measure_road(images, 1 - spot, score, shares=(0.08,))
    nothing = measure_road(images, np.ones_like(spot), score, shares=(0.08,))
    assert (right > 1).all()
    assert (wrong < -1).all()
    assert (abs(nothing) < 0.5).all()
    assert (images[:, :4] == 0).all()
