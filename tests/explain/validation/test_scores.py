"""What a map is worth, on arrays whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import sem, t

from core.explain.validation.scores import pointing_game, share_inside, similarity

PATIENTS = np.array(["a", "b", "c", "d"])


@pytest.fixture
def maps() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((4, 32, 32)).astype(np.float32)


def ssim(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Wang et al. 2004, equation 13, where the window of 11 lies wholly inside."""

    def local(image: NDArray[np.float64]) -> NDArray[np.float64]:
        smooth: NDArray[np.float64] = gaussian_filter(image, 1.5, radius=5)[5:-5, 5:-5]
        return smooth

    x, y = one.astype(np.float64), other.astype(np.float64)
    mean_x, mean_y = local(x), local(y)
    var_x, var_y, both = local(x * x) - mean_x**2, local(y * y) - mean_y**2, local(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    values = (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return float(values.mean())


def test_similarity_is_ssim_with_an_interval_over_patients(maps: NDArray[np.float32]) -> None:
    others = (maps + np.random.default_rng(1).normal(0, 0.2, maps.shape)).clip(0, 1).astype(np.float32)
    found = similarity(maps, others, PATIENTS)
    expected = [ssim(one, other) for one, other in zip(maps, others, strict=True)]
    half = t.ppf(0.975, 3) * sem(expected)
    assert found.value == pytest.approx(np.mean(expected), abs=1e-3)
    assert (found.low, found.high) == pytest.approx((np.mean(expected) - half, np.mean(expected) + half), abs=2e-3)
    assert found.n == 4


def test_streams_count_as_one_image(maps: NDArray[np.float32]) -> None:
    streams = np.stack([maps, 1 - maps], axis=1)
    found = similarity(streams, np.stack([maps, maps], axis=1), PATIENTS)
    assert found.n == 4
    assert found.value is not None
    assert found.value < 0.6


def test_no_share_lies_beyond_one(maps: NDArray[np.float32]) -> None:
    truth = np.zeros(maps.shape, bool)
    truth[:3] = True  # three maps lie inside, one does not
    for figure in (share_inside(maps, truth, PATIENTS), pointing_game(maps, truth, PATIENTS)):
        assert figure.value == pytest.approx(0.75)
        assert figure.low is not None
        assert figure.high is not None
        assert 0 <= figure.low < 0.75 < figure.high <= 1
    same = similarity(maps, maps, PATIENTS)
    assert (same.value, same.high) == pytest.approx((1.0, 1.0))


def test_one_study_has_shares_without_an_interval(maps: NDArray[np.float32]) -> None:
    truth = np.zeros(maps.shape, bool)
    truth[:3] = True
    for figure in (pointing_game(maps, truth, np.repeat("a", 4)), share_inside(maps, truth, np.repeat("a", 4))):
        assert (figure.value, figure.low, figure.n) == (pytest.approx(0.75), None, 4)
        assert "two studies" in figure.reason
