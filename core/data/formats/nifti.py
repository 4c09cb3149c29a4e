"""NIfTI volumes: one three-dimensional image, its voxels and its place in the patient."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from core.data.geometry import find_slice_axis
from core.errors import DataError, LimitError, MixedSeriesError
from core.settings import Settings, load_settings

HEADER_BYTES = 540
"""Bytes of the longer of the two headers (NIfTI-2); NIfTI-1 has 348."""
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
LABEL_INTENT = 1002
"""NIFTI_INTENT_LABEL: each voxel is the number of a label."""
MOST_LABELS = 8
"""Different values, 0 among them, that a map of labels has at most; a scan has hundreds."""
LABEL_COMPRESSION = 50
"""How much smaller labels become at least, compressed."""
GZIP_ERRORS = (OSError, EOFError, zlib.error)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NiftiHeader:
    """Size and place of a NIfTI volume, slices first."""

    shape: tuple[int, int, int]
    """(slices, rows, columns) as stored: the slice axis is the one with the widest spacing, else the third."""
    affine: NDArray[np.float64]
    """(4, 4): (slice, row, column, 1) indices to LPS millimetres."""
    axes: tuple[int, int, int]
    """Which stored axes these are."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, rows and columns, in millimetres."""
        slices, rows, columns = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return slices, rows, columns


def is_nifti_name(name: str) -> bool:
    """Whether a file name is that of a single-file NIfTI image."""
    return name.lower().endswith((".nii", ".nii.gz"))


def read_nifti_header(path: Path, settings: Settings | None = None) -> NiftiHeader:
    """Read size and place of a NIfTI volume; of a gzip, no more than the header is inflated.

    Raises
    ------
    DataError
        Not NIfTI, damaged, or not a grey three-dimensional image.
    MixedSeriesError
        Four dimensions: a time series.
    LimitError
        More voxels than this installation accepts.
    """
    settings = settings or load_settings()
    shape, kind, data_offset, affine = _interpret(path)
    if len(shape) > 3:
        raise MixedSeriesError(f"{path.name} has {len(shape)} dimensions {shape}: a time series, not one volume.")
    if len(shape) != 3 or min(shape) < 1:
        raise DataError(f"{path.name} has the shape {shape}; expected a three-dimensional image.")
    if kind.kind not in "iuf":
        raise DataError(f"{path.name} holds {kind} voxels; expected plain numbers.")
    voxels = int(np.prod(shape, dtype=object))
    if voxels > settings.file_pixels:
        raise LimitError(f"{path.name} claims {voxels:,} voxels; at most {settings.file_pixels:,} are accepted.")
    if data_offset > settings.header_bytes:
        raise LimitError(f"{path.name} has a header of {data_offset:,} bytes; it is damaged.")
    stored = RAS_TO_LPS @ affine
    spacing = np.linalg.norm(stored[:3, :3], axis=0)
    if not np.isfinite(stored).all() or spacing.min() <= 0:
        raise DataError(f"{path.name} has no usable affine; save it again with its orientation.")
    slices = find_slice_axis(spacing)
    rows, columns = (axis for axis in range(3) if axis != slices)
    axes = (slices, rows, columns)
    return NiftiHeader(shape=(shape[slices], shape[rows], shape[columns]), affine=stored[:, [*axes, 3]], axes=axes)


def read_nifti(path: Path, settings: Settings | None = None) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Read a NIfTI volume: float32 (slices, rows, columns) and its affine to LPS millimetres.

    Values are scaled by scl_slope and scl_inter; what is not a number becomes zero. Raises as
    :func:`read_nifti_header` does.
    """
    header = read_nifti_header(path, settings)
    try:
        # The header's size was checked, and nibabel inflates no more than the voxels that it names.
        image = nibabel.load(path)
        voxels = np.asarray(
            image.dataobj,  # type: ignore[attr-defined]
            dtype=np.float32,
        )
    except (*GZIP_ERRORS, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise DataError(f"{path.name} is damaged: {error}.") from error
    array = voxels.reshape(voxels.shape[:3]).transpose(header.axes)
    return np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0), header.affine


def is_label_map(path: Path) -> bool:
    """Whether a NIfTI volume is a map of labels: by its intent code, or by voxels of a few whole numbers only.

    Voxels are read only where they may be labels: where they take 8 bits, or were compressed to less than a fiftieth,
    as no scan can be.

    Raises
    ------
    DataError
        It is damaged.
    """
    header = _parse_header(path)
    if int(header["intent_code"]) == LABEL_INTENT:
        return True
    kind = header.get_data_dtype()
    stored = int(np.prod(header.get_data_shape(), dtype=object)) * kind.itemsize
    if kind.itemsize > 1 and path.stat().st_size * LABEL_COMPRESSION > stored:
        return False
    values = np.unique(read_nifti(path)[0])
    return 1 < len(values) <= MOST_LABELS and bool((values == values.round()).all()) and values[0] == 0


def _interpret(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int, NDArray[np.float64]]:
    """Return shape (without trailing ones), kind of voxels, where they begin, and the affine to RAS."""
    header = _parse_header(path)
    try:
        shape = tuple(int(size) for size in header.get_data_shape())
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        kind, data_offset = header.get_data_dtype(), header.get_data_offset()
    except (ValueError, OverflowError, KeyError, nibabel.spatialimages.HeaderDataError) as error:
        raise DataError(f"{path.name} has a damaged header: {error}.") from error
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape, kind, int(data_offset), affine


def _parse_header(path: Path) -> Any:
    """Read the fixed-size header alone: header extensions state their own length and are not read."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            start = file.read(HEADER_BYTES)
        for kind in (nibabel.nifti1.Nifti1PairHeader, nibabel.nifti2.Nifti2PairHeader):
            if kind.may_contain_header(start):
                return kind(start[: kind.sizeof_hdr])
    except (*GZIP_ERRORS, ValueError, nibabel.spatialimages.HeaderDataError) as error:
        raise DataError(f"{path.name} is not NIfTI, or damaged: {error}.") from error
    raise DataError(f"{path.name} is not a NIfTI image.")
