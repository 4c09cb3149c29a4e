"""A volume: voxels with their position in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.formats.header import InstanceHeader
from core.data.formats.nifti import read_nifti
from core.data.formats.series_reader import SeriesReader
from core.data.geometry import PLANE_AXES, orient
from core.data.index.stack import arrange
from core.data.prepare.percentile import percentiles
from core.data.study import Fault, Series
from core.errors import DataError
from core.mri import MRSequence, Plane
from core.settings import Settings, load_settings

BLANK_LEVEL = 0.02
"""A slice is blank when it stays below this share of the volume's brightness."""
BRIGHTNESS_PERCENTILE = 99.5
"""Percentile of the voxels above the background that stands for the volume's brightness."""
SPARE_VOXELS = 3
"""Voxels of a blank slice that may be bright all the same: hot pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """One series as voxels, in canonical display orientation.

    Slices ascend along +L (sagittal), +P (coronal) or +S (axial). In the plane, rows and columns are flipped
    and transposed, never interpolated, to the radiological view: axial rows run to posterior and columns to
    the patient's left; coronal rows to inferior and columns to left; sagittal rows to inferior and columns to
    posterior.
    """

    array: NDArray[np.float32]
    """(slices, rows, columns), rescaled by slope and intercept, MONOCHROME1 inverted."""
    affine: NDArray[np.float64]
    """(4, 4): (slice, row, column, 1) indices to LPS millimetres."""
    sequence: MRSequence
    plane: Plane
    files: tuple[str, ...]
    """Name of the source file of each slice."""
    offsets_mm: NDArray[np.float64] | None = None
    """(slices,): distance of each slice from the first, along the normal; None where the affine tells it.

    It differs from the affine's even steps where slices are missing.
    """

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, rows and columns, in millimetres."""
        slices, rows, columns = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return slices, rows, columns

    @property
    def positions_mm(self) -> NDArray[np.float64]:
        """(slices,): each slice's coordinate along its plane's canonical axis (L, P or S), in millimetres.

        It is that of the slice's centre, so that oblique series of one head can be moved together.
        """
        count, rows, columns = self.array.shape
        step_mm = self.spacing_mm[0]
        steps = np.arange(count) if self.offsets_mm is None else self.offsets_mm / step_mm
        centres = self.affine @ np.stack(
            [steps, np.full(count, (rows - 1) / 2), np.full(count, (columns - 1) / 2), np.ones(count)]
        )
        positions: NDArray[np.float64] = centres[PLANE_AXES.get(self.plane, 2)]
        return positions


def find_blank_slices(array: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which slices hold nothing.

    A slice is blank when no more than three of its voxels reach 2% of the volume's brightness, which is the
    99.5th percentile of the voxels above the background (the smallest value). It is a rule on the brightest
    voxels and not on their number, so that the last trace of brain still counts as a slice.

    Parameters
    ----------
    array
        ndarray of shape (slices, rows, columns), all slices of one volume.

    Returns
    -------
    ndarray of shape (slices,)
        True is blank.
    """
    flat = array.reshape(len(array), -1)
    background = flat.min()
    above = flat[flat > background]
    if not above.size:
        return np.ones(len(array), dtype=bool)
    level = background + BLANK_LEVEL * (percentiles(above, [BRIGHTNESS_PERCENTILE])[0] - background)
    blank: NDArray[np.bool_] = np.count_nonzero(flat > level, axis=1) <= min(SPARE_VOXELS, flat.shape[1] - 1)
    return blank


def read_volume(series: Series, settings: Settings | None = None) -> tuple[Volume, tuple[Fault, ...]]:
    """Read a DICOM or NIfTI series into a volume; a faulty file is left out and named.

    Parameters
    ----------
    series
        A series of kind "dicom" or "nifti".
    settings
        The limits; this installation's by default.

    Raises
    ------
    MixedSeriesError
        The files do not form one volume (see :func:`core.data.index.stack.arrange`).
    DataError
        Loose images, which have no place in the patient; or none of the files can be read (the reason is that
        of the first one).
    """
    settings = settings or load_settings()
    if series.kind == "picture":
        raise DataError(f"Study {series.study_id}: loose pictures have no geometry and form no volume.")
    if series.kind == "nifti":
        path = series.files[0]
        array, affine = read_nifti(path, settings)
        array, affine, plane = orient(array, affine)
        names = (path.name,) * len(array)
        return _volume(series, array, affine, plane, names, None), ()
    return _read_dicom(series, settings)


def _read_dicom(series: Series, settings: Settings) -> tuple[Volume, tuple[Fault, ...]]:
    headers: list[InstanceHeader] = []
    images: dict[tuple[Path, int], NDArray[Any]] = {}
    faults: list[Fault] = []
    reader = SeriesReader(settings)
    for path in series.files:
        try:
            of_file, frames = reader.read_frames(path)
            headers += of_file
            images.update({(path, header.frame): pixels for header, pixels in zip(of_file, frames, strict=True)})
        except DataError as error:
            faults.append(name_fault(series, path, str(error)))
    if not images:
        reason = faults[0].reason if faults else "it has no files"
        raise DataError(f"Study {series.study_id}, {series.sequence}: none of its files can be read: {reason}")
    stack = arrange(headers)
    array = np.stack([images[header.path, header.frame] for header in stack.headers])
    if any(header.inverted for header in stack.headers):
        array -= array.min()
    names = tuple(header.path.name for header in stack.headers)
    faults += [name_fault(series, Path(fault.path), fault.reason) for fault in stack.faults]
    if stack.plane is Plane.UNKNOWN:
        return _volume(series, array, stack.affine, stack.plane, names, None), tuple(faults)
    array, affine, plane = orient(array, stack.affine)
    return _volume(series, array, affine, plane, names, stack.offsets_mm), tuple(faults)


def name_fault(series: Series, path: Path, reason: str) -> Fault:
    """Name a file (or the series' folder) by its study and sequence: a series does not know its cohort's root."""
    of_series = path in {file.parent for file in series.files}
    place = f"{series.study_id}/{series.sequence}"
    return Fault(path=place if of_series else f"{place}/{path.name}", reason=reason)


def _volume(
    series: Series,
    array: NDArray[np.float32],
    affine: NDArray[np.float64],
    plane: Plane,
    files: tuple[str, ...],
    offsets: NDArray[np.float64] | None,
) -> Volume:
    return Volume(
        array=np.ascontiguousarray(array, dtype=np.float32),
        affine=affine,
        sequence=series.sequence,
        plane=plane,
        files=files,
        offsets_mm=offsets,
    )
