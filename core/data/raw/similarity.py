"""How well two images of one head lie over each other, whatever their contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import (  # type: ignore[attr-defined]
    binary_closing,
    binary_dilation,
    binary_fill_holes,
    binary_opening,
    label,
)

from core.data.raw.images import Image, isotropic, to_transform, voxels_of

CHECK_MM = 3.0
"""Distance of the voxels on which images are compared."""
BINS = 32
OUTSIDE = -1.0
"""Value of a head mask where the image does not reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """What two images have in common at one pose."""

    mutual_information: float
    """In nats, over the fixed head and what borders on it; what the moving image does not cover counts as air."""
    overlap: float
    """Dice of the two heads within the common field of view."""


def head_mask(array: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return what is head and not air: the largest bright region with its holes; voxels are to be about 3 mm wide."""
    top = float(np.percentile(array, 99))
    if top <= array.min():
        return np.zeros(array.shape, np.bool_)
    clipped = np.clip(array, 0, top)
    threshold = sitk.LiThresholdImageFilter()
    threshold.SetInsideValue(0)
    threshold.SetOutsideValue(1)
    bright = sitk.GetArrayFromImage(threshold.Execute(sitk.GetImageFromArray(clipped))).astype(bool)
    filled = binary_closing(np.pad(bright, 2), iterations=2)[2:-2, 2:-2, 2:-2]
    for axis in range(3):  # the neck opens the head downwards, and sinuses to the front
        filled = np.stack([binary_fill_holes(one) for one in np.moveaxis(filled, axis, 0)], axis=axis)
    opened = binary_opening(filled, iterations=2)
    regions, count = label(opened if opened.any() else filled)
    if not count:
        return np.zeros(array.shape, np.bool_)
    return np.asarray(regions == 1 + np.bincount(regions.ravel())[1:].argmax(), np.bool_)


class Pair:
    """Two images that are compared at several poses of the second one."""

    def __init__(self, fixed: Image, moving: Image) -> None:
        """Prepare two float32 images of any size."""
        self.fixed = isotropic(fixed, CHECK_MM)
        self.moving = isotropic(moving, CHECK_MM)
        self.fixed_array = voxels_of(self.fixed)
        self.fixed_head = head_mask(self.fixed_array)
        self._around_head = binary_dilation(self.fixed_head, iterations=2)
        self._moving_head = sitk.GetImageFromArray(head_mask(voxels_of(self.moving)).astype(np.float32))
        self._moving_head.CopyInformation(self.moving)
        places = np.argwhere(self.fixed_head)
        middle = places.mean(axis=0) if len(places) else np.array(self.fixed_array.shape) / 2
        self.middle_mm = np.array(self.fixed.TransformContinuousIndexToPhysicalPoint(middle[::-1].tolist()))

    def moving_middle_mm(self) -> NDArray[np.float64]:
        """Middle of the moving head in its own millimetres, (3,)."""
        places = np.argwhere(voxels_of(self._moving_head) > 0.5)
        middle = places.mean(axis=0) if len(places) else np.array(self.moving.GetSize())[::-1] / 2
        return np.array(self.moving.TransformContinuousIndexToPhysicalPoint(middle[::-1].tolist()))

    def mutual_information(self, matrix: NDArray[np.float64]) -> float:
        """Return the mutual information at a pose: `matrix` (4, 4) takes places of the fixed image to the moving one."""
        return _mutual_information(self.fixed_array, self._move(matrix)[0], self._around_head)

    def compare(self, matrix: NDArray[np.float64]) -> Similarity:
        """Return all measures at a pose (see :meth:`mutual_information`)."""
        moved, head, covered = self._move(matrix)
        seen = self.fixed_head & covered
        total = seen.sum() + head.sum()
        return Similarity(
            mutual_information=_mutual_information(self.fixed_array, moved, self._around_head),
            overlap=float(2 * (seen & head).sum() / total) if total else 0.0,
        )

    def _move(self, matrix: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return the moving image on the fixed one's voxels, its head, and where it is covered at all."""
        transform = to_transform(matrix)
        moved = voxels_of(sitk.Resample(self.moving, self.fixed, transform, sitk.sitkLinear, 0.0))
        head = voxels_of(sitk.Resample(self._moving_head, self.fixed, transform, sitk.sitkNearestNeighbor, OUTSIDE))
        return moved, head > 0.5, head > OUTSIDE / 2


def _mutual_information(first: NDArray[np.float32], second: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    if where.sum() < BINS:
        return 0.0
    joint, _, _ = np.histogram2d(_to_bins(first[where]), _to_bins(second[where]), bins=BINS, range=((0, BINS),) * 2)
    shares = joint / joint.sum()
    product = shares.sum(axis=1, keepdims=True) * shares.sum(axis=0, keepdims=True)
    filled = shares > 0
    return float((shares[filled] * np.log(shares[filled] / product[filled])).sum())


def _to_bins(values: NDArray[np.float32]) -> NDArray[np.float64]:
    low, high = np.percentile(values, (0.5, 99.5))
    return np.clip((values - low) / max(high - low, 1e-9), 0, 1 - 1e-9) * BINS
