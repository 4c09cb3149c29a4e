"""A study's sequences on one grid in millimetres: the same voxel is the same place in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.config import PrepConfig
from core.data.prepare.examples import PreparedSeries
from core.data.prepare.resample import Grid, common_grid, resample_to
from core.data.prepare.slices import prepare_volumes
from core.data.select import Source
from core.data.study import Fault, Series
from core.data.volume import Volume, read_volume
from core.errors import DataError
from core.mri import MRSequence, Plane
from core.settings import Settings

IN_PLANE_MM = 1.0
"""Distance between rows and columns of the grid, where the slices do not lie closer still."""


def prepare_study(series: Sequence[Series], prep: PrepConfig, settings: Settings | None = None) -> PreparedSeries:
    """Read a study's series, resample them to a common axial grid, and prepare them together.

    The grid covers all of them, with slices ``prep.grid_mm`` apart and rows and columns 1 mm apart (or as close as the
    slices). Slices are chosen where all sequences show tissue, and one box is cut out of all. Nothing is registered.

    Parameters
    ----------
    series
        One for each sequence that the study has, of one patient in one position.
    prep
        How; its ``sequences`` say the order of channels and streams.
    settings
        The limits; this installation's by default.

    Returns
    -------
    PreparedSeries
        With a fault for each series that could not be used.

    Raises
    ------
    DataError
        None of the series can be used.
    """
    volumes: dict[MRSequence, Volume] = {}
    faults: list[Fault] = []
    failures: list[DataError] = []
    for one in series:
        try:
            volumes[one.sequence], found = read_volume(one, settings)
            faults += found
        except DataError as error:
            failures.append(error)
            faults.append(Fault(path=f"{one.study_id}/{one.sequence}", reason=str(error)))
    if not volumes:
        raise failures[0] if failures else DataError("A study without series cannot be prepared.")
    grid = _grid(list(volumes.values()), prep, settings)
    resampled = {sequence: resample_to(volume, grid) for sequence, volume in volumes.items()}
    prepared = prepare_volumes([resampled.get(sequence) for sequence in prep.sequences], prep)
    return replace(prepared, faults=tuple(faults))


def study_grid(series: Sequence[Series], prep: PrepConfig, settings: Settings | None = None) -> Grid:
    """The grid on which :func:`prepare_study` lays a study's series; those that cannot be read are left out.

    Raises
    ------
    DataError
        None of the series can be read.
    """
    volumes: list[Volume] = []
    failures: list[DataError] = []
    for one in series:
        try:
            volumes.append(read_volume(one, settings)[0])
        except DataError as error:
            failures.append(error)
    if not volumes and failures:
        raise failures[0]
    return _grid(volumes, prep, settings)


def _grid(volumes: Sequence[Volume], prep: PrepConfig, settings: Settings | None) -> Grid:
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
