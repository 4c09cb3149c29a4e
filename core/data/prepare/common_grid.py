"""A study's sequences on one grid in millimetres, so that a voxel is the same place in the patient in all of them.

The four sequences of a study are often acquired in different planes and spacings. Where they share one frame of
reference (nothing is registered here, and a head that moved between two series stays moved), resampling them to a
common axial grid lines them up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, map_coordinates  # type: ignore[attr-defined]

from core.config import PrepConfig
from core.data.prepare.examples import PreparedSeries
from core.data.select import Source
from core.data.study import Fault
from core.data.volume import Volume
from core.data.voxels import Voxels
from core.errors import REFUSALS, DataError, LimitError
from core.mri import MRSequence, Plane, plane_of
from core.settings import Settings, load_settings

UNPLACED = REFUSALS["unplaced"]
IN_PLANE_MM = 1.0
"""Distance between rows and columns of the grid, where the slices do not lie closer still."""
AXIAL = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Columns: where slices (S), rows (P) and columns (L) of the radiological axial view run to, in LPS."""
ORDERS: dict[str, int] = {"nearest": 0, "linear": 1}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Voxel centres: how many along each axis, and where they lie."""

    shape: tuple[int, int, int]
    """(slices, rows, columns)."""
    affine: NDArray[np.float64]
    """(4, 4): (slice, row, column, 1) indices to LPS millimetres."""

    def index_of(self, point_mm: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (slice, row, column) of a place in LPS millimetres, with fractions."""
        inverse = np.linalg.inv(self.affine)
        index: NDArray[np.float64] = inverse[:3, :3] @ np.asarray(point_mm, np.float64) + inverse[:3, 3]
        return index


def lay_on_common_grid(
    volumes: dict[MRSequence, Volume], prep: PrepConfig, settings: Settings | None = None
) -> list[Volume | None]:
    """Resample a study's volumes to :func:`study_grid`; nothing is registered.

    Parameters
    ----------
    volumes
        One for each sequence that the study has, of one patient in one position.
    prep
        Its ``sequences`` say the order; None stands for one that is not there.
    settings
        The limits; this installation's by default.
    """
    grid = study_grid(list(volumes.values()), prep, settings)
    return [resample_to(volumes[name], grid) if name in volumes else None for name in prep.sequences]


def drop_unplaced(
    volumes: dict[MRSequence, Volume], study_id: str
) -> tuple[dict[MRSequence, Volume], tuple[Fault, ...]]:
    """Leave out the volumes whose place in the patient is not known in millimetres, a fault each.

    Raises
    ------
    DataError
        None is left.
    """
    placed = {name: volume for name, volume in volumes.items() if volume.in_mm}
    faults = tuple(
        Fault(path=f"{study_id}/{name}", reason=f"left out: its {UNPLACED}") for name in volumes if name not in placed
    )
    if not placed:
        raise DataError(f"Study {study_id}: the {' and '.join(volumes)} series' {UNPLACED}.")
    return placed, faults


def study_grid(volumes: Sequence[Volume], prep: PrepConfig, settings: Settings | None = None) -> Grid:
    """Return an axial grid over a study's volumes.

    Its slices are ``prep.grid_mm`` apart, its rows and columns 1 mm, or as close as the slices.
    """
    in_plane_mm = _in_plane_mm(prep)
    return common_grid(volumes, (prep.grid_mm, in_plane_mm, in_plane_mm), settings)


def _in_plane_mm(prep: PrepConfig) -> float:
    return min(prep.grid_mm, IN_PLANE_MM)


def common_grid(
    volumes: Sequence[Volume], spacing_mm: float | tuple[float, float, float] = 1.0, settings: Settings | None = None
) -> Grid:
    """Lay an axial grid over all that the volumes cover together.

    Parameters
    ----------
    volumes
        Of one patient, in one frame of reference.
    spacing_mm
        Distance between voxel centres: one number, or those of slices, rows and columns.
    settings
        The limit ``file_pixels`` on its voxels; this installation's by default.

    Returns
    -------
    Grid
        In canonical orientation: slices ascend to superior, rows run to posterior and columns to the patient's left.

    Raises
    ------
    DataError
        No volumes, a volume without geometry, or a spacing that is not positive.
    LimitError
        The grid would have more voxels than this installation accepts.
    """
    steps = np.broadcast_to(np.asarray(spacing_mm, np.float64), 3)
    if not volumes or not np.isfinite(steps).all() or steps.min() <= 0:
        raise DataError(f"A common grid needs volumes and a spacing above 0 mm; found {len(volumes)} and {spacing_mm}.")
    corners = np.concatenate([_corners(volume) for volume in volumes]) @ AXIAL
    low, high = corners.min(axis=0), corners.max(axis=0)
    counts = np.maximum(np.ceil((high - low) / steps - 1e-6), 0) + 1
    limit = (settings or load_settings()).file_pixels
    if counts.prod() > limit:
        raise LimitError(
            f"A grid of {' x '.join(f'{count:.0f}' for count in counts)} voxels is more than the {limit:,} accepted here; "
            "choose a wider spacing."
        )
    affine = np.eye(4)
    affine[:3, :3] = AXIAL * steps
    affine[:3, 3] = AXIAL @ low
    slices, rows, columns = counts.astype(int).tolist()
    return Grid(shape=(slices, rows, columns), affine=affine)


def resample_to(volume: Volume, grid: Grid, order: Literal["nearest", "linear"] = "linear") -> Volume:
    """Resample a volume to a grid, without a filter: a grid much coarser than the volume picks single voxels.

    Parameters
    ----------
    volume
        With a place in the patient. Where slices are missing, the gap is bridged between its neighbours.
    grid
        Where to.
    order
        "linear" for intensities, "nearest" for labels.

    Returns
    -------
    Volume
        On the grid: plane axial where the grid is, sequence kept. What the volume does not cover has its smallest
        value, the background. ``files`` is empty, for a slice no longer comes from one file.

    Raises
    ------
    DataError
        The volume has no geometry.
    """
    _check_place(volume)
    # A grid that meets the voxels exactly must not miss the outermost ones by the last bit.
    to_source = np.round(np.linalg.inv(volume.affine) @ grid.affine, 9)
    matrix, start, background = to_source[:3, :3], to_source[:3, 3], float(volume.array.min())
    offsets = _uneven_offsets(volume)
    if offsets is None:
        array = affine_transform(
            volume.array, matrix, start, output_shape=grid.shape, order=ORDERS[order], mode="constant", cval=background
        )
    else:
        array = np.empty(grid.shape, np.float32)
        plane = np.indices(grid.shape[1:], dtype=np.float64)
        in_plane = np.tensordot(matrix[:, 1:], plane, axes=1) + start[:, None, None]
        for number in range(grid.shape[0]):
            places = in_plane + number * matrix[:, :1, None]
            places[0] = _slice_index(offsets, places[0] * _step(volume))
            map_coordinates(
                volume.array, places, output=array[number], order=ORDERS[order], mode="constant", cval=background
            )
    return Volume(
        voxels=Voxels(np.asarray(array, np.float32)),
        affine=grid.affine.copy(),
        sequence=volume.sequence,
        plane=plane_of(grid.affine[:3, 0]),
        files=(),
    )


def _check_place(volume: Volume) -> None:
    if not volume.in_mm or volume.plane is Plane.UNKNOWN or abs(np.linalg.det(volume.affine[:3, :3])) < 1e-9:
        raise DataError(f"A {volume.sequence} volume without a place in the patient cannot be resampled to a grid.")


def _corners(volume: Volume) -> NDArray[np.float64]:
    """(8, 3): centres of the corner voxels in LPS millimetres."""
    _check_place(volume)
    slices, rows, columns = volume.voxels.shape
    last = (
        slices - 1 if volume.offsets_mm is None else abs(volume.offsets_mm[-1] - volume.offsets_mm[0]) / _step(volume)
    )
    indices = np.array(list(product((0, last), (0, rows - 1), (0, columns - 1))))
    corners: NDArray[np.float64] = indices @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return corners


def _step(volume: Volume) -> float:
    return float(np.linalg.norm(volume.affine[:3, 0]))


def _uneven_offsets(volume: Volume) -> NDArray[np.float64] | None:
    """Distance of each slice from the first, where that is not a multiple of the affine's step."""
    if volume.offsets_mm is None:
        return None
    offsets = volume.offsets_mm - volume.offsets_mm[0]
    even = np.arange(len(offsets)) * _step(volume)
    return None if np.allclose(offsets, even, atol=0.05 * _step(volume)) else offsets


def _slice_index(offsets: NDArray[np.float64], places_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """From distances along the normal to the index of the slice that lies there, with fractions; -1 is outside."""
    numbers = np.arange(len(offsets), dtype=np.float64)
    index: NDArray[np.float64] = np.interp(places_mm, offsets, numbers, left=-1, right=-1)
    return index


def image_plane(source: Source, prep: PrepConfig) -> Plane:
    """Return the plane of the images that a source is prepared to: axial on a common grid, else as it was acquired."""
    return Plane.AXIAL if prep.grid_mm else source[0].plane


def pixel_spacing(prepared: PreparedSeries, prep: PrepConfig) -> tuple[float, float]:
    """Distance between rows and columns, in millimetres, of images that were prepared on a common grid."""
    frame = prepared.frames[0]
    height = (frame.row_stop - frame.row_start) / (frame.bottom - frame.top)
    width = (frame.column_stop - frame.column_start) / (frame.right - frame.left)
    return height * _in_plane_mm(prep), width * _in_plane_mm(prep)
