"""The synthetic head: tissue shares that add up, heads that differ, and enough bright dura in each."""

from __future__ import annotations

import numpy as np
import pytest

from core.phantom.anatomy import DURA_SHARE, Brain, draw_brain, rotation_matrix


@pytest.fixture(scope="module")
def brains() -> list[Brain]:
    return [draw_brain(np.random.default_rng(seed), push_centre_mm=(25.0, 0.0, 5.0), push_mm=5.0) for seed in range(3)]


def test_shares_add_up_to_one(brains: list[Brain]) -> None:
    for brain in brains:
        total = brain.fluid + brain.grey + brain.white + brain.vessel
        np.testing.assert_allclose(total, 1, atol=1e-5)
        for share in (brain.fluid, brain.grey, brain.white, brain.vessel, brain.mask):
            assert share.dtype == np.float32
            assert share.min() >= -1e-6
            assert share.max() <= 1 + 1e-6


def test_tissues_are_there_in_plausible_amounts(brains: list[Brain]) -> None:
    for brain in brains:
        inside = brain.mask > 0.5
        litres = inside.sum() * brain.grid.spacing_mm**3 / 1e6
        assert 1.0 < litres < 2.0
        assert 0.05 < brain.fluid[inside].mean() < 0.25
        assert 0.25 < brain.grey[inside].mean() < 0.55
        assert 0.30 < brain.white[inside].mean() < 0.65


def test_dura_is_the_same_share_of_every_head(brains: list[Brain]) -> None:
    for brain in brains:
        assert brain.dura[brain.mask > 0.5].mean() == pytest.approx(DURA_SHARE, abs=0.003)


def test_the_head_lies_free_in_its_grid(brains: list[Brain]) -> None:
    for brain in brains:
        inside = brain.mask > 0
        for axis in range(3):
            assert not inside.take([0, -1], axis=axis).any()


def test_heads_differ(brains: list[Brain]) -> None:
    inside = (brains[0].mask > 0.5) & (brains[1].mask > 0.5)
    correlation = np.corrcoef(brains[0].grey[inside], brains[1].grey[inside])[0, 1]
    assert correlation < 0.5


def test_rotation_is_a_rotation() -> None:
    matrix = rotation_matrix(np.array([0.3, -0.2, 0.5]))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    np.testing.assert_allclose(rotation_matrix(np.array([0, 0, np.pi / 2])) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
