"""A series and its map as two NIfTI files on one lattice, for a viewer that shows three planes and a volume."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.formats.nifti import RAS_TO_LPS
from core.data.prepare.common_grid import drop_unplaced, lay_on_common_grid
from core.data.study import Series
from core.data.volume import Volume, read_volumes
from core.errors import DataError
from core.explain.overlay import display_window
from core.mri import MRSequence

MOST_VOXELS = 16_000_000
"""A larger volume is handed over with every second (third, ...) voxel along each axis: a browser holds it several times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeImages:
    """A volume and its map, voxel by voxel at the same places."""

    grey: bytes
    """NIfTI-1, uncompressed: the intensities that the readers give, int16 with slope and intercept."""
    heat: bytes
    """NIfTI-1 of uint8, 255 where a map is 1; empty where there is no map."""
    window: tuple[float, float]
    """Intensities shown as black and white."""
    start_mm: tuple[float, float, float]
    """Right, anterior, superior (RAS): the centre of the map's strongest voxel; of the middle one where there is no map."""
    stride: int
    """Every how many voxels were kept; 1 is all of them."""


def read_on_grid(series: Sequence[Series], sequence: MRSequence, prep: PrepConfig) -> Volume:
    """Return one of a study's series on the common grid on which they were prepared together.

    Raises
    ------
    DataError
        It cannot be read, or has no place in the patient.
    """
    volumes, _ = drop_unplaced(read_volumes(series)[0], series[0].study_id)
    laid = lay_on_common_grid(volumes, prep)[list(prep.sequences).index(sequence)]
    if laid is None:
        raise DataError(f"Study {series[0].study_id}: its {sequence} series has no place on the common grid.")
    return laid


def draw_volume(volume: Volume, maps: Mapping[int, NDArray[np.float32]]) -> VolumeImages:
    """Return a volume and the maps of its slices as NIfTI files on one lattice in millimetres (RAS).

    Missing slices are empty. Between the slices that have a map it is interpolated linearly along the normal; beyond the
    outermost of them it is 0.

    Parameters
    ----------
    volume
        With a place in the patient and more than one slice.
    maps
        By slice index, (rows, columns) of the volume, 0..1.

    Raises
    ------
    DataError
        The volume has no place in the patient, or a single slice.
    """
    count, rows, columns = volume.voxels.shape
    if not volume.in_mm or count < 2:
        raise DataError(
            f"The {volume.sequence} images form no volume: they have no place in the patient, or are but one."
        )
    places = np.arange(count)
    if volume.offsets_mm is not None:
        places = np.rint(volume.offsets_mm / volume.spacing_mm[0]).astype(int)
    stride = max(1, math.ceil(((places[-1] + 1) * rows * columns / MOST_VOXELS) ** (1 / 3)))
    source = np.full(places[-1] + 1, -1)
    source[places] = np.arange(count)
    source = source[::stride]
    grey = volume.array[source, ::stride, ::stride]
    grey[source < 0] = 0
    affine = volume.affine.copy()
    affine[:, :3] *= stride
    window = display_window(volume.array)
    heat = _between({int(places[index]): heat[::stride, ::stride] for index, heat in maps.items()}, grey.shape, stride)
    strongest = np.unravel_index(int(heat.argmax()), heat.shape) if heat.any() else [size // 2 for size in heat.shape]
    start = RAS_TO_LPS @ affine @ [*strongest, 1]
    return VolumeImages(
        grey=_to_nifti(grey, affine, window),
        heat=_to_nifti((heat * 255).round().astype(np.uint8), affine, (0, 255)) if heat.any() else b"",
        window=window,
        start_mm=(float(start[0]), float(start[1]), float(start[2])),
        stride=stride,
    )


def _between(maps: Mapping[int, NDArray[np.float32]], shape: tuple[int, ...], stride: int) -> NDArray[np.float32]:
    """Maps by place along the normal, and what lies between two of them: (slices, rows, columns) of every stride-th place."""
    heat = np.zeros(shape, np.float32)
    seen = sorted(maps)
    for below, above in pairwise(seen or [0]):
        for place in range(-(-below // stride) * stride, above, stride):
            share = np.float32((place - below) / (above - below))
            heat[place // stride] = (1 - share) * maps[below] + share * maps[above]
    if seen and seen[-1] % stride == 0:
        heat[seen[-1] // stride] = maps[seen[-1]]
    return heat


def _to_nifti(array: NDArray[Any], affine: NDArray[np.float64], window: tuple[float, float]) -> bytes:
    """Write (slices, rows, columns) with their affine to LPS; the axes of the file are columns, rows, slices."""
    dtype = np.uint8 if array.dtype == np.uint8 else np.int16
    image = nibabel.Nifti1Image(array.transpose(2, 1, 0), RAS_TO_LPS @ affine[:, [2, 1, 0, 3]], dtype=dtype)
    image.header["cal_min"], image.header["cal_max"] = window
    image.header.set_xyzt_units("mm")
    content: bytes = image.to_bytes()
    return content
