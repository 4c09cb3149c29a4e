"""A study's sequences on one grid in millimetres: the same voxel is the same place in all of them."""

from __future__ import annotations

from collections.abc import Sequence

from core.config import PrepConfig
from core.data.prepare.examples import PreparedSeries
from core.data.prepare.resample import Grid, common_grid, resample_to
from core.data.select import Source
from core.data.volume import Volume
from core.mri import MRSequence, Plane
from core.settings import Settings

IN_PLANE_MM = 1.0
"""Distance between rows and columns of the grid, where the slices do not lie closer still."""


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


def study_grid(volumes: Sequence[Volume], prep: PrepConfig, settings: Settings | None = None) -> Grid:
    """Return an axial grid over a study's volumes.

    Its slices are ``prep.grid_mm`` apart, its rows and columns 1 mm, or as close as the slices.
    """
    in_plane_mm = _in_plane_mm(prep)
    return common_grid(volumes, (prep.grid_mm, in_plane_mm, in_plane_mm), settings)


def image_plane(source: Source, prep: PrepConfig) -> Plane:
    """Return the plane of the images that a source is prepared to: axial on a common grid, else as it was acquired."""
    return Plane.AXIAL if prep.grid_mm else source[0].plane


def pixel_spacing(prepared: PreparedSeries, prep: PrepConfig) -> tuple[float, float]:
    """Distance between rows and columns, in millimetres, of images that were prepared on a common grid."""
    frame = prepared.frames[0]
    height = (frame.row_stop - frame.row_start) / (frame.bottom - frame.top)
    width = (frame.column_stop - frame.column_start) / (frame.right - frame.left)
    return height * _in_plane_mm(prep), width * _in_plane_mm(prep)


def _in_plane_mm(prep: PrepConfig) -> float:
    return min(prep.grid_mm, IN_PLANE_MM)
