"""The tumour: one trait follows the biomarker, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.phantom.fields import GRID, FloatArray
from core.phantom.tumour import Tumour, TumourSite, draw_site, draw_tumour, necrotic_fraction


@pytest.fixture(scope="module")
def tissue() -> tuple[FloatArray, FloatArray]:
    """White matter everywhere, deep below the surface."""
    return np.ones(GRID.shape, np.float32), np.full(GRID.shape, 30, np.float32)


def draw(tissue: tuple[FloatArray, FloatArray], z: float, seed: int = 0) -> tuple[TumourSite, Tumour]:
    site = draw_site(np.random.default_rng(seed))
    return site, draw_tumour(np.random.default_rng([seed, 1]), site, *tissue, z)


@given(z=st.floats(-6, 8), step=st.floats(0.01, 3))
def test_the_trait_rises_with_the_biomarker(z: float, step: float) -> None:
    assert 0.1 < necrotic_fraction(z) < necrotic_fraction(z + step) < 0.9


def test_the_biomarker_moves_the_border_of_the_core_alone(tissue: tuple[FloatArray, FloatArray]) -> None:
    (_, low), (_, high) = draw(tissue, -1.0), draw(tissue, 4.0)
    assert high.core.sum() > 5 * low.core.sum()
    np.testing.assert_array_equal(low.core + low.ring, high.core + high.ring)
    np.testing.assert_array_equal(low.oedema, high.oedema)
    np.testing.assert_array_equal(low.texture, high.texture)
    np.testing.assert_array_equal(low.labels() > 0, high.labels() > 0)


def test_the_core_fills_the_share_that_the_trait_says(tissue: tuple[FloatArray, FloatArray]) -> None:
    for z in (0.0, 1.5, 3.0):
        shares = []
        for seed in range(6):
            _, tumour = draw(tissue, z, seed)
            shares.append(np.cbrt(tumour.core.sum() / (tumour.core + tumour.ring).sum()))
        assert np.mean(shares) == pytest.approx(necrotic_fraction(z), abs=0.06)


def test_mask_follows_brats(tissue: tuple[FloatArray, FloatArray]) -> None:
    site, tumour = draw(tissue, 2.0)
    labels = tumour.labels()
    assert set(np.unique(labels)) == {0, 1, 2, 4}
    centre = tuple(int(np.argmin(np.abs(GRID.axis_mm(axis) - site.centre_mm[axis]))) for axis in range(3))
    assert labels[centre] == 1
