"""Atlases of any number of labels are told from scans of any number of grey levels, by their voxels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from core.data.formats import nifti
from core.data.index.series import scan_series
from core.settings import Settings

SHAPE = (48, 56, 40)


def draw_atlas(count: int, *, sparse: bool) -> NDArray[Any]:
    """Regions around so many places, within an ellipsoid or only near their places; numbers as FreeSurfer's have gaps."""
    rng = np.random.default_rng(count)
    middle = np.array(SHAPE) / 2
    places = np.moveaxis(np.indices(SHAPE), 0, -1) - middle
    seeds = rng.uniform(-0.8, 0.8, (count, 3)) * middle
    nearest, distance = np.zeros(SHAPE, int), np.full(SHAPE, np.inf)
    for number, seed in enumerate(seeds):
        own = np.linalg.norm(places - seed, axis=-1)
        nearest, distance = np.where(own < distance, number, nearest), np.minimum(own, distance)
    numbers = np.sort(rng.choice(np.arange(2, 2036), count, replace=False))
    rng.shuffle(numbers)
    inside = np.linalg.norm(places / middle, axis=-1) < 0.9
    return np.where(inside & (distance < 4 if sparse else True), numbers[nearest], 0)


def draw_scan(levels: int, *, noise: float = 0.0, padding: int = 0) -> NDArray[Any]:
    """A smooth head in so many grey levels, above a constant value outside it."""
    rng = np.random.default_rng(levels)
    places = np.moveaxis(np.indices(SHAPE), 0, -1) - np.array(SHAPE) / 2
    inside = np.linalg.norm(places / (np.array(SHAPE) / 2), axis=-1) < 0.9
    image = gaussian_filter(rng.standard_normal(SHAPE), 2.0)
    image = (image - image.min()) / np.ptp(image) + noise * rng.standard_normal(SHAPE)
    return np.where(inside, padding + 1 + np.clip(image * (levels - 1), 0, levels - 1).astype(int), padding)


def save(path: Path, voxels: NDArray[Any], kind: type) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels.astype(kind), np.diag([1.0, 1.0, 1.2, 1.0])), path)
    return path


@pytest.mark.parametrize("count", [12, 33, 116, 400])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_an_atlas_without_an_intent_code_is_refused_as_a_label_map(
    tmp_path: Path, settings: Settings, count: int, sparse: bool, kind: type
) -> None:
    path = save(tmp_path / "T1.nii.gz", draw_atlas(count, sparse=sparse), kind)
    found = scan_series("one", [path], tmp_path, settings)
    assert [fault.reason for fault in found.faults] == [
        "T1.nii.gz is a label map by its voxels or its intent code, not a scan."
    ]
    assert not found.series


@pytest.mark.parametrize("levels", [13, 16, 32, 64, 255, 2000])
@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("padding", [0, 7])
def test_a_scan_of_few_grey_levels_stays_a_scan(tmp_path: Path, levels: int, noise: float, padding: int) -> None:
    assert not nifti.is_label_map(
        save(tmp_path / "T1.nii.gz", draw_scan(levels, noise=noise, padding=padding), np.int16)
    )


@pytest.mark.parametrize("levels", [None, 255, 64, 32, 16, 9])
def test_a_real_scan_stays_a_scan_in_however_many_grey_levels(
    tmp_path: Path, shared_data: Path, levels: int | None
) -> None:
    for path in (shared_data / "brats_nifti").rglob("*.nii.gz"):
        voxels, _ = nifti.read_nifti(path)
        if levels is not None:
            voxels = np.clip(voxels / np.percentile(voxels, 99.9), 0, 1) * levels
        assert not nifti.is_label_map(save(tmp_path / path.name, voxels.round(), np.int16)), (path.name, levels)
