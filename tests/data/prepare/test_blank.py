"""A blanked head tells nothing of what is in it."""

from __future__ import annotations

import numpy as np

from core.config import PrepConfig
from core.data.prepare.slices import HEAD_GREY, blank_heads, prepare_volume
from tests.data.volumes import draw_head, make_volume


def test_a_blanked_head_keeps_its_outline_and_what_lies_outside() -> None:
    image = np.zeros((1, 32, 32), np.uint8)
    image[0, 8:24, 8:24] = 90
    image[0, 12:14, 12:14] = 0
    image[0, 15, 15] = 250
    image[0, 2:6, 1] = 255
    blanked = blank_heads(image)
    assert set(np.unique(blanked[0, 8:24, 8:24])) == {128}
    assert (blanked[0, 2:6, 1] == 255).all()
    assert blanked[0, :8].sum() == 4 * 255
    assert image[0, 15, 15] == 250


def test_blank_images_stay_blank() -> None:
    assert not blank_heads(np.zeros((2, 8, 8), np.uint8)).any()


def test_a_prepared_slice_is_blanked_where_it_is_asked_for() -> None:
    volume = make_volume(draw_head())
    plain, blanked = (
        prepare_volume(volume, PrepConfig(size_px=48, slice_count=3, blank_head=blank)).pixels
        for blank in (False, True)
    )
    np.testing.assert_array_equal(blanked, blank_heads(plain))
    assert len(np.unique(plain)) > 10
    assert (blanked == HEAD_GREY).any()
