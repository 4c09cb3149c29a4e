"""Features of images follow from the arithmetic that their description states."""

from __future__ import annotations

import numpy as np
import pytest

from core.dataset.picture_features import FEATURES, measure_pictures


def named(images: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, measure_pictures(images[None])[0], strict=True))


def test_features_of_a_drawn_image_are_known() -> None:
    image = np.zeros((32, 32), np.uint8)
    image[8:24, 4:28] = 100  # a box 16 high and 24 wide
    found = named(image)
    share = 16 * 24 / 32**2
    assert found["share of grey 96 to 127"] == pytest.approx(share**0.5)
    assert found["share of background"] == pytest.approx(1 - share)
    assert found["size of the head"] == pytest.approx(share)
    assert (found["height of the head"], found["width of the head"]) == (0.5, 0.75)
    assert found["gaps inside the head"] == 1
    assert found["likeness of left and right"] == pytest.approx(1)
    across, down = 100 * 2 * 16 / (32 * 31), 100 * 2 * 24 / (31 * 32)
    assert found["change of grey over 1 pixels"] == pytest.approx(np.log1p((across + down) / 2))
    assert found["noise inside the head"] == pytest.approx(np.log1p(100 * 2 * 16 / (16 * 24)))
    assert found["brightness of the middle"] == 0
    assert found["brightness at the image's edge"] == 0


def test_a_hole_and_a_shift_are_seen() -> None:
    image = np.zeros((32, 32), np.uint8)
    image[8:24, 2:18] = 100
    image[12:20, 6:14] = 0
    found = named(image)
    assert found["gaps inside the head"] == pytest.approx((16 * 16 - 64) / (16 * 16))
    assert found["likeness of left and right"] < 0.5
    assert found["likeness of top and bottom"] == pytest.approx(1)


def test_empty_images_and_volumes_are_measured() -> None:
    assert np.isfinite(measure_pictures(np.zeros((2, 16, 16), np.uint8))).all()
    images = np.random.default_rng(0).integers(0, 255, (2, 3, 16, 16)).astype(np.uint8)
    expected = measure_pictures(images.reshape(6, 16, 16)).reshape(2, 3, -1).mean(axis=1)
    assert measure_pictures(images) == pytest.approx(expected)
