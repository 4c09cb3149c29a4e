"""Slices keep their proportions, their place in millimetres and their sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.stacks import make_stack
from ui.widgets.slices import compose_slice, find_box, nearest_slice, plane_positions


def test_the_nearest_slice_is_found_and_nothing_beyond_the_series() -> None:
    stack = make_stack()
    assert nearest_slice(stack, 11.0) == 2
    assert nearest_slice(stack, 45.0) == 9
    assert nearest_slice(stack, 60.0) is None


def test_among_seen_slices_the_nearest_counts_however_far() -> None:
    stack = make_stack(probabilities={1: 0.2, 8: 0.9})
    assert nearest_slice(stack, 0.0, seen_only=True) == 1
    assert nearest_slice(stack, 30.0, seen_only=True) == 8
    unseen = make_stack()
    assert nearest_slice(unseen, 11.0, seen_only=True) == 2  # to compare with
    assert nearest_slice(unseen, 60.0, seen_only=True) is None


@given(st.floats(-50, 50), st.floats(0.5, 9), st.floats(0.5, 9))
def test_positions_cover_both_series_in_steps_of_the_finer(offset: float, first: float, second: float) -> None:
    one, other = make_stack(step=first), make_stack(start=offset, step=second)
    positions = np.array(plane_positions([one, other]))
    finest = min(first, second)
    assert np.allclose(np.diff(positions), finest, atol=0.011)
    assert positions[0] <= min(0.0, offset) + finest + 0.01
    assert positions[-1] >= max(one.positions[-1], other.positions[-1]) - finest - 0.01


def test_seen_positions_are_those_of_the_series_that_was_seen_most() -> None:
    few, many = make_stack(probabilities={0: 0.1}), make_stack(start=1, probabilities={2: 0.1, 5: 0.2})
    assert plane_positions([few, many], seen_only=True) == [11.0, 26.0]


def test_composing_keeps_proportions_in_millimetres() -> None:
    # 40 rows of 1 mm and 20 columns of 2 mm are a square of 40 mm; in a field of 80 mm it is half as wide.
    image = compose_slice(make_stack(in_mm=False), 0, field_mm=80, side_px=160)
    lit = np.argwhere(image[..., 0] > 100)
    assert image.shape == (160, 160, 3)
    assert np.ptp(lit[:, 0]) + 1 == pytest.approx(80, abs=3)
    assert np.ptp(lit[:, 1]) + 1 == pytest.approx(80, abs=3)


def test_what_is_there_lies_in_the_middle() -> None:
    pixels = np.zeros((1, 60, 60), np.uint8)
    pixels[0, 5:15, 40:50] = 255
    stack = make_stack(slices=1, pixels=pixels, box=find_box(pixels), spacing_mm=(2.0, 1.0), in_mm=False)
    assert stack.box == (5, 15, 40, 50)
    lit = np.argwhere(compose_slice(stack, 0, field_mm=20, side_px=100)[..., 0] > 128)
    assert lit.mean(axis=0) == pytest.approx([49.5, 49.5], abs=2)


def test_no_slice_is_a_black_square_with_its_sides_marked() -> None:
    image = compose_slice(make_stack(), None, field_mm=80, side_px=256)
    assert 0 < (image > 0).mean() < 0.05
    assert not compose_slice(make_stack(in_mm=False), None, field_mm=80, side_px=256).any()


def test_a_dark_volume_is_shown_whole() -> None:
    assert find_box(np.zeros((3, 7, 9), np.uint8)) == (0, 7, 0, 9)
