"""N4 takes a planted field out; what a correction gone wrong leaves is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from core.data.raw.bias import check_bias, correct_bias
from core.data.raw.images import to_image
from core.data.voxels import Voxels
from core.mri import MRSequence
from tests.data.raw.heads import scan


def uneven(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Twice as bright behind as in front."""
    return volume * np.linspace(0.7, 1.4, volume.shape[1], dtype=np.float32)[None, :, None]


def test_a_planted_field_is_taken_out() -> None:
    volume = scan(MRSequence.T1W)
    planted = uneven(volume.array)
    field = Voxels(planted)
    corrected, figures, reason = correct_bias(to_image(replace(volume, voxels=field)))
    bright = volume.array > np.percentile(volume.array, 70)
    before = np.std(np.log(planted[bright] / volume.array[bright]))
    after = np.std(np.log(corrected[bright] / volume.array[bright]))
    assert after < 0.5 * before
    assert reason == ""
    assert 0.5 < figures["field_low"] < 1 < figures["field_high"] < 2


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda array: np.where(array > 800, np.nan, array), "not numbers"),
        (lambda array: array - 1000, "not positive"),
        (lambda array: array * np.exp(np.linspace(-4, 4, array.shape[1]))[None, :, None], "its field runs from"),
        (lambda array: np.full_like(array, 100.0), "resembles the scan no more"),
    ],
)
def test_a_correction_gone_wrong_is_refused(
    spoil: Callable[[NDArray[np.float32]], NDArray[np.float32]], said: str
) -> None:
    array = scan(MRSequence.T1W).array
    assert said in check_bias(array, spoil(array).astype(np.float32))[1]
    assert check_bias(array, array)[1] == ""


def test_a_scan_without_a_head_is_refused() -> None:
    volume = scan(MRSequence.T1W)
    _, _, reason = correct_bias(to_image(replace(volume, voxels=Voxels(np.zeros_like(volume.array)))))
    assert "no head" in reason
