"""What is shown: grey through one window, colour only where the map is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import colormaps

from core.explain.overlay import blend, colour_table, display_window, to_grey


def test_window_ignores_background_and_keeps_zero_black() -> None:
    volume = np.zeros((4, 50, 50), dtype=np.float32)
    volume[:, 10:40, 10:40] = np.linspace(100, 1100, 4 * 900).reshape(4, 30, 30)
    black, white = display_window(volume)
    assert black == 0
    assert white == pytest.approx(1095, abs=2)
    assert to_grey(volume[0], (black, white))[0, 0] == 0


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0, np.nan])
def test_flat_slices_can_be_shown(value: float) -> None:
    grey = to_grey(np.full((3, 4), value, dtype=np.float32))
    assert grey.shape == (3, 4)
    assert len(np.unique(grey)) == 1


@given(scale=st.floats(0.01, 1000))
def test_grey_does_not_depend_on_the_scanner_scale(scale: float) -> None:
    image = np.random.default_rng(0).uniform(1, 100, (8, 8)).astype(np.float32)
    difference = to_grey(image * np.float32(scale)).astype(int) - to_grey(image)
    assert np.abs(difference).max() <= 1


def test_colours_grow_lighter_evenly() -> None:
    lightness = colour_table().astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1).all()
    assert lightness[-1] - lightness[0] > 150
    assert (colour_table() == (colormaps["inferno"](np.arange(256))[:, :3] * 255).round()).all()


def test_blend_colours_only_where_the_map_is() -> None:
    image = np.full((2, 3), 100, dtype=np.uint8)
    heat = np.zeros((2, 3), dtype=np.float32)
    heat[0, 0] = 1
    mixed = blend(image, heat, 1.0)
    assert mixed.dtype == np.uint8
    assert mixed.shape == (2, 3, 3)
    assert (mixed[0, 0] == colour_table()[255]).all()
    assert (mixed[1] == 100).all()
    assert (blend(image, heat, 0.0) == 100).all()


def test_blend_refuses_a_map_of_another_shape() -> None:
    with pytest.raises(ValueError, match="lay the map back"):
        blend(np.zeros((2, 3), dtype=np.uint8), np.zeros((3, 2), dtype=np.float32), 0.5)
