"""A real scan of a whole head, read as the product reads it, and acquired again after a known move."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from core.data.index.series import build_series, scan_files
from core.data.raw.images import Image, isotropic, make_even, to_image, to_transform, voxels_of, with_voxels
from core.data.raw.similarity import CHECK_MM, head_mask
from core.data.volume import read_volume
from core.settings import load_settings


def read_head(path: Path) -> Image:
    """Return the scan with the most slices of a file, or of a folder of DICOM; its middle lies at 0 mm."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    settings = load_settings()
    scanned = scan_files(files, path.parent, settings)
    built = build_series(path.name, scanned, path.parent, settings)
    if not built.series:
        faults = (*scanned.faults, *built.faults)
        sys.exit(f"{path}: {faults[0].reason if faults else 'there is no scan'}")
    image = to_image(make_even(read_volume(max(built.series, key=lambda one: one.slice_total))[0]))
    return _centred(image, image)


def read_brain(path: Path, head: Path) -> NDArray[np.bool_]:
    """Return where a mask, or a scan without its skull, is not 0, on the voxels of the scan of the head."""
    stored = sitk.ReadImage(str(head if head.is_file() else path))
    brain = _centred(sitk.ReadImage(str(path), sitk.sitkFloat32), stored)
    return voxels_of(sitk.Resample(brain, read_head(head), sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)) > 0


def places_in(head: Image, inside: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    """Some hundred places of a mask on a head's voxels, in millimetres, (n, 3)."""
    index = rng.choice(np.argwhere(inside), 400, replace=False)[:, ::-1]
    return np.array([head.TransformIndexToPhysicalPoint(one) for one in index.tolist()])


def acquire(
    head: Image,
    move: NDArray[np.float64],
    spacing_mm: tuple[float, float, float],
    *,
    inverted: bool = False,
) -> Image:
    """Return an axial series of a head after a move: (4, 4), from the head's own millimetres to the scanner's.

    Parameters
    ----------
    head, move
        The scan and the move.
    spacing_mm
        Between slices, rows and columns.
    inverted
        Whether bright is dark within the head: another contrast of the same anatomy.
    """
    if inverted:
        head = _invert(head)
    spacing = np.array(spacing_mm[::-1])
    corners = [0, 0, 0], [size - 1 for size in head.GetSize()]
    low, high = (np.array(head.TransformIndexToPhysicalPoint(corner)) for corner in corners)
    count = np.ceil(np.abs(high - low) / spacing).astype(int)
    grid = sitk.Image(count.tolist(), sitk.sitkFloat32)
    grid.SetSpacing(spacing.tolist())
    grid.SetOrigin((-(count - 1) / 2 * spacing).tolist())
    back = np.asarray(np.linalg.inv(move), np.float64)
    return sitk.Resample(head, grid, to_transform(back), sitk.sitkLinear, 0.0)


def _centred(image: Image, like: Image) -> Image:
    """Return an image moved so that the middle of another one lies at 0 mm."""
    middle = like.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in like.GetSize()])
    moved = sitk.Image(image)
    moved.SetOrigin((np.array(image.GetOrigin()) - middle).tolist())
    return moved


def _invert(head: Image) -> Image:
    values = voxels_of(head)
    coarse = isotropic(head, CHECK_MM)
    inside = with_voxels(coarse, head_mask(voxels_of(coarse)).astype(np.float32))
    within = voxels_of(sitk.Resample(inside, head, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)) > 0.5
    top = np.percentile(values[within], 99)
    return with_voxels(head, np.where(within, np.clip(top - values, 0, top), values).astype(np.float32))
