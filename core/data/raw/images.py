"""Volumes as SimpleITK images and back; both place voxels in LPS millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from core.data.prepare.common_grid import Grid, resample_to
from core.data.volume import Volume
from core.errors import DataError

Image = Any
"""A ``SimpleITK.Image``: the library has no types."""


def to_image(volume: Volume) -> Image:
    """Return a volume as a float32 image; the image's first axis runs along the columns.

    Raises
    ------
    DataError
        The volume has no place in the patient.
    """
    if not volume.in_mm:
        raise DataError(
            f"{volume.sequence} does not state how large a voxel is and how it lies in the patient, so it cannot be processed "
            "from raw; export the scan again with its geometry."
        )
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array, np.float32))
    spacing = np.array(volume.spacing_mm)
    directions = volume.affine[:3, :3] / spacing
    image.SetSpacing(spacing[::-1].tolist())
    image.SetDirection(directions[:, ::-1].ravel().tolist())
    image.SetOrigin(volume.affine[:3, 3].tolist())
    return image


def make_even(volume: Volume) -> Volume:
    """Return the volume with evenly spaced slices: gaps where slices are missing are bridged between their neighbours."""
    if volume.offsets_mm is None:
        return volume
    slices, rows, columns = volume.voxels.shape
    reach = abs(float(volume.offsets_mm[-1] - volume.offsets_mm[0])) / volume.spacing_mm[0]
    if abs(reach - (slices - 1)) < 0.05:
        return replace(volume, offsets_mm=None)
    even = resample_to(volume, Grid(shape=(round(reach) + 1, rows, columns), affine=volume.affine))
    return replace(even, plane=volume.plane)


def smooth_to(image: Image, spacing_mm: float) -> Image:
    """Return an image smoothed along the axes on which its voxels are finer than a spacing, for resampling to that."""
    for axis, own in enumerate(image.GetSpacing()):
        sigma = 0.5 * np.sqrt(max(spacing_mm**2 - own**2, 0.0))
        if sigma > 0.1 * own and image.GetSize()[axis] >= 4:
            image = sitk.RecursiveGaussian(image, sigma, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, axis)
    return image


def isotropic(image: Image, spacing_mm: float) -> Image:
    """Return an image on cubes of one size in its own axes, smoothed first along axes that are finer."""
    image = smooth_to(image, spacing_mm)
    spacing, size = np.array(image.GetSpacing()), np.array(image.GetSize())
    count = np.maximum(np.ceil(size * spacing / spacing_mm), 1).astype(int)
    corner = np.array(image.TransformContinuousIndexToPhysicalPoint((-0.5 + 0.5 * spacing_mm / spacing).tolist()))
    grid = sitk.Image(count.tolist(), sitk.sitkFloat32)
    grid.SetSpacing([spacing_mm] * 3)
    grid.SetDirection(image.GetDirection())
    grid.SetOrigin(corner.tolist())
    return sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32, True)


def voxels_of(image: Image) -> NDArray[np.float32]:
    """Return an image's voxels (slices, rows, columns)."""
    return np.asarray(sitk.GetArrayFromImage(image), np.float32)


def with_voxels(image: Image, array: NDArray[np.float32]) -> Image:
    """Return an image in the place of another one, with other voxels (slices, rows, columns)."""
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(image)
    return changed


def to_transform(matrix: NDArray[np.float64]) -> Image:
    """Return a (4, 4) matrix in LPS millimetres as a transform."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform


def rotation_degrees(matrix: NDArray[np.float64]) -> float:
    """Return by how much a rigid (4, 4) matrix turns, about whichever axis."""
    return float(np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1))))


def shift_mm(matrix: NDArray[np.float64], at_mm: Sequence[float] | NDArray[np.float64]) -> float:
    """Return how far a rigid (4, 4) matrix moves one place, in millimetres."""
    place = np.asarray(at_mm, np.float64)
    return float(np.linalg.norm(matrix[:3, :3] @ place + matrix[:3, 3] - place))
