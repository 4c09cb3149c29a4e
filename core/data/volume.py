"""A volume: voxels with their position in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.formats.dicom import load_file
from core.data.formats.header import InstanceHeader
from core.data.formats.nifti import read_nifti, read_nifti_header
from core.data.formats.series_reader import SeriesReader, read_files
from core.data.index.stack import arrange
from core.data.study import Fault, Series
from core.data.voxels import Voxels, join_slices
from core.errors import DataError, refusal
from core.mri import PLANE_AXES, READER_VERSION, MRSequence, Plane, plane_of
from core.settings import Settings, load_settings

_LEFT, _POSTERIOR, _SUPERIOR = np.eye(3)

VIEWS: dict[Plane, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = {
    Plane.AXIAL: (_SUPERIOR, _POSTERIOR, _LEFT),
    Plane.CORONAL: (_POSTERIOR, -_SUPERIOR, _LEFT),
    Plane.SAGITTAL: (_LEFT, -_SUPERIOR, _POSTERIOR),
}
"""Where slices, rows and columns run to in the radiological view."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """One series as voxels, in canonical display orientation.

    Slices ascend along +L (sagittal), +P (coronal) or +S (axial). In the plane, rows and columns are flipped
    and transposed, never interpolated, to the radiological view: axial rows run to posterior and columns to
    the patient's left; coronal rows to inferior and columns to left; sagittal rows to inferior and columns to
    posterior.
    """

    voxels: Voxels
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
    in_mm: bool = True
    """Whether the files state how large a voxel is and how it lies; else the affine only orders the voxels."""
    instances: tuple[tuple[Path, int], ...] = ()
    """Of DICOM: the file of each slice, and which of its frames it is, from 0."""
    turn: Turn | None = None
    """Of DICOM: how the stored slices were turned."""

    @property
    def array(self) -> NDArray[np.float32]:
        """(slices, rows, columns): the voxels as float32."""
        return self.voxels.array

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
        count, rows, columns = self.voxels.shape
        step_mm = self.spacing_mm[0]
        steps = np.arange(count) if self.offsets_mm is None else self.offsets_mm / step_mm
        centres = self.affine @ np.stack(
            [steps, np.full(count, (rows - 1) / 2), np.full(count, (columns - 1) / 2), np.ones(count)]
        )
        positions: NDArray[np.float64] = centres[PLANE_AXES.get(self.plane, 2)]
        return positions


def read_volumes(
    source: Sequence[Series],
    settings: Settings | None = None,
    contents: Sequence[memoryview] | None = None,
    *,
    version: int = READER_VERSION,
) -> tuple[dict[MRSequence, Volume], tuple[Fault, ...]]:
    """Read a study's series, one for each sequence, into volumes; one that cannot be read becomes a fault.

    Parameters are those of :func:`read_volume`; `contents` is what the first series' files hold.

    Raises
    ------
    DataError
        None of the series can be read; the reason is that of the first one.
    """
    volumes: dict[MRSequence, Volume] = {}
    faults: list[Fault] = []
    failures: list[DataError] = []
    for series in source:
        try:
            volumes[series.sequence], found = read_volume(
                series, settings, None if volumes or failures else contents, version=version
            )
            faults += found
        except DataError as error:
            failures.append(error)
            faults.append(Fault(path=f"{series.study_id}/{series.sequence}", reason=str(error)))
    if not volumes:
        raise failures[0] if failures else DataError("A study without series cannot be prepared.")
    return volumes, tuple(faults)


def read_volume(
    series: Series,
    settings: Settings | None = None,
    contents: Sequence[memoryview] | None = None,
    *,
    version: int = READER_VERSION,
) -> tuple[Volume, tuple[Fault, ...]]:
    """Read a DICOM or NIfTI series into a volume; a faulty file is left out and named.

    Parameters
    ----------
    series
        A series of kind "dicom" or "nifti".
    settings
        The limits; this installation's by default.
    contents
        What DICOM files hold, in their order, where :func:`core.data.formats.series_reader.read_files` was called already.
    version
        ``PrepConfig.reader_version``: 1 finds the slices of a NIfTI volume as runs before it did.

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
        raise DataError(refusal("loose_images", study=series.study_id))
    if series.kind == "dicom":
        return _read_dicom(series, settings, contents)
    path = series.files[0]
    array, header = read_nifti(path, settings, series.slice_axis, widest=version == 1)
    turn = find_turn(header.affine, array.shape)
    turned = turn.apply(array)
    return Volume(
        voxels=Voxels(np.ascontiguousarray(turned)),
        affine=turn.affine,
        sequence=series.sequence,
        plane=header.plane,
        files=(path.name,) * len(array),
        in_mm=header.in_mm,
    ), ()


def find_plane_before(series: Series, settings: Settings | None = None) -> Plane:
    """Return the plane in which the first version of the reader took a series; that it has where it cannot be read."""
    if series.kind != "nifti":
        return series.plane
    try:
        return read_nifti_header(series.files[0], settings, widest=True).plane
    except DataError:
        return series.plane


def _read_dicom(
    series: Series, settings: Settings, contents: Sequence[memoryview] | None
) -> tuple[Volume, tuple[Fault, ...]]:
    slices: dict[tuple[Path, int], NDArray[Any]] = {}
    headers: list[InstanceHeader] = []
    faults: list[Fault] = []
    reader = SeriesReader(settings)
    for path, content in zip(series.files, contents or _load_files(series.files), strict=True):
        try:
            of_file, frames = reader.read_frames(path, content or load_file(path))
            headers += of_file
            slices.update({(path, header.frame): stored for header, stored in zip(of_file, frames, strict=True)})
        except DataError as error:
            faults.append(name_fault(series, path, str(error)))
    if not slices:
        reason = faults[0].reason if faults else "it has no files"
        raise DataError(f"Study {series.study_id}, {series.sequence}: none of its files can be read: {reason}")
    stack = arrange(headers)
    kept = [slices[header.path, header.frame] for header in stack.headers]
    known = stack.plane is not Plane.UNKNOWN
    turn = find_turn(stack.affine, (len(kept), *kept[0].shape)) if known else Turn(stack.plane, stack.affine)
    volume = Volume(
        voxels=join_slices([turn.apply(stored) for stored in kept], stack.headers),
        affine=turn.affine,
        sequence=series.sequence,
        plane=turn.plane,
        files=tuple(header.path.name for header in stack.headers),
        offsets_mm=stack.offsets_mm if known else None,
        in_mm=known and stack.spacing_known,
        instances=tuple((header.path, header.frame) for header in stack.headers),
        turn=turn,
    )
    return volume, (*faults, *(name_fault(series, Path(fault.path), fault.reason) for fault in stack.faults))


def _load_files(paths: Sequence[Path]) -> list[memoryview]:
    """Return what the files hold; nothing for any where one cannot be read, which is then named when it is read alone."""
    try:
        return read_files(paths)
    except OSError:
        return [memoryview(b"")] * len(paths)


def name_fault(series: Series, path: Path, reason: str) -> Fault:
    """Name a file (or the series' folder) by its study and sequence: a series does not know its cohort's root."""
    of_series = path in {file.parent for file in series.files}
    place = f"{series.study_id}/{series.sequence}"
    return Fault(path=place if of_series else f"{place}/{path.name}", reason=reason)


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """How voxels are flipped and transposed to the radiological view of their plane; a voxel keeps its place."""

    plane: Plane
    affine: NDArray[np.float64]
    """(4, 4): (slice, row, column, 1) indices of the turned voxels to LPS millimetres."""
    crossed: bool = False
    """Rows and columns are exchanged, before anything is flipped."""
    steps: tuple[int, int, int] = (1, 1, 1)
    """-1 where slices, rows or columns are flipped."""

    def apply(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return a view of voxels (slices, rows, columns), or of one slice (rows, columns), in canonical order."""
        turned = voxels.swapaxes(-1, -2) if self.crossed else voxels
        return turned[tuple(slice(None, None, step) for step in self.steps[3 - voxels.ndim :])]

    def undo(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return a view of one slice (rows, columns, ...) of canonical order as it is stored."""
        stored = image[:: self.steps[1], :: self.steps[2]]
        return stored.swapaxes(0, 1) if self.crossed else stored


def find_turn(affine: NDArray[np.float64], shape: tuple[int, ...]) -> Turn:
    """Find how voxels of a shape (slices, rows, columns) are turned to the radiological view of their plane.

    `affine` (4, 4) takes (slice, row, column, 1) indices to LPS millimetres.
    """
    plane = plane_of(affine[:3, 0])
    targets = VIEWS[plane]
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    straight = abs(directions[:, 1] @ targets[1]) + abs(directions[:, 2] @ targets[2])
    across = abs(directions[:, 1] @ targets[2]) + abs(directions[:, 2] @ targets[1])
    crossed = bool(across > straight)
    if crossed:
        affine, shape = affine[:, [0, 2, 1, 3]], (shape[0], shape[2], shape[1])
    steps = [1, 1, 1]
    for axis, target in enumerate(targets):
        if affine[:3, axis] @ target < 0:
            last = np.zeros(4)
            last[axis], last[3] = shape[axis] - 1, 1
            flipped = affine.copy()
            flipped[:, 3] = affine @ last
            flipped[:, axis] = -affine[:, axis]
            affine, steps[axis] = flipped, -1
    return Turn(plane, affine, crossed, (steps[0], steps[1], steps[2]))
