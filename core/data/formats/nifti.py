"""NIfTI volumes: one three-dimensional image, its voxels and its place in the patient."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
from numpy.typing import NDArray

from core.data.formats.discovery import GZIP_START
from core.data.formats.label_values import LabelValues
from core.errors import DataError, LimitError, MixedSeriesError, refusal
from core.mri import Plane, plane_of
from core.settings import Settings, load_settings

HEADER_BYTES = 540
"""Bytes of the longer of the two headers (NIfTI-2); NIfTI-1 has 348."""
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
LABEL_INTENT = 1002
"""NIFTI_INTENT_LABEL: each voxel is the number of a label."""
LOOK_BYTES = 1 << 16
"""Bytes of voxels that are looked at at a time; the first of them, or of those after an empty margin, tell a scan."""
GZIP_ERRORS = (OSError, EOFError, zlib.error)
UNITS_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
"""xyzt_units: metres, millimetres, micrometres."""
PLAUSIBLE_MM = (0.05, 50.0)
"""Distances between voxels of a scan of a head; beyond them the number or its unit is wrong. Files that name no unit are
in millimetres."""
VOXEL_AXES = {"i": 0, "j": 1, "k": 2}
"""Stored axes as BIDS names them."""
NEARLY_ALONG = 0.9
"""Cosine above which an axis counts as the normal of the slices."""
SAME_SPACING = 0.01
"""Share by which two spacings may differ and count as one: rounding, not an acquisition."""
OTHER_SPACING = 0.03
"""Share by which the third spacing must differ from two that are one, to be that between slices."""
WIDER = 1.2
"""How many times wider than any other the distance between slices is, where all three differ."""


@dataclass(frozen=True, slots=True)
class SliceAxis:
    """Which stored axis of a volume in one block (NIfTI) its slices are stacked along, and what says so."""

    index: int
    source: Literal["stated", "spacing", "convention"]
    """Stated by the file or its sidecar; told by the spacing; or neither, and axial by convention."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NiftiHeader:
    """Size and place of a NIfTI volume, slices first."""

    shape: tuple[int, int, int]
    """(slices, rows, columns)."""
    affine: NDArray[np.float64]
    """(4, 4): (slice, row, column, 1) indices to LPS millimetres."""
    axes: tuple[int, int, int]
    """Which stored axes these are."""
    slice_axis: SliceAxis
    """How the first of them was found."""
    spacing_known: bool = True
    """Whether the file states how large its voxels are; else the affine has a step of 1 where no number is given."""
    placed: bool = True
    """Whether it states how it lies in the patient (an sform or a qform code)."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, rows and columns, in millimetres where that is known."""
        slices, rows, columns = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return slices, rows, columns

    @property
    def axes_mm(self) -> NDArray[np.float64]:
        """(3, 3): the step along each stored axis, a column each, in LPS."""
        return self.affine[:3, np.argsort(self.axes)]

    @property
    def in_mm(self) -> bool:
        """Whether a voxel's place in the patient is known in millimetres."""
        return self.spacing_known and self.placed

    @property
    def plane(self) -> Plane:
        """The plane of the slices; unknown where the file does not state how it lies."""
        return plane_of(self.affine[:3, 0]) if self.placed else Plane.UNKNOWN

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is assumed of its geometry, a clause each."""
        found = []
        if not self.spacing_known:
            found.append(
                "it does not state how large its voxels are (pixdim or its unit), so its pixels count as square and "
                "nothing is measured in millimetres"
            )
        if not self.placed:
            found.append(
                "it does not state how it lies in the patient (no sform and no qform code), so it is read as it is stored: "
                "left and right may be exchanged"
            )
        elif self.slice_axis.source == "convention":
            found.append(
                "it does not state in which plane it was acquired, and its voxels, about equally wide in all directions, do "
                "not tell, so it is read as axial"
            )
        return tuple(found)


def read_nifti_header(
    path: Path, settings: Settings | None = None, slice_axis: int | None = None, *, widest: bool = False
) -> NiftiHeader:
    """Read size and place of a NIfTI volume; of a gzip, no more than the header is inflated.

    Parameters
    ----------
    path, settings
        The file, and the limits; this installation's by default.
    slice_axis
        The stored axis that its sidecar states for its slices, before what the file itself states (dim_info).
    widest
        Find the slices as the first version of the reader did (:func:`find_widest_axis`).

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
    header = _interpret(path)
    shape, kind, data_offset = header.shape, header.kind, header.data_offset
    listed = ", ".join(map(str, shape))
    if len(shape) > 3:
        raise MixedSeriesError(refusal("dimensions", name=path.name, count=len(shape), shape=listed))
    if len(shape) != 3 or min(shape) < 1:
        raise DataError(refusal("shape", name=path.name, shape=listed))
    if kind.kind not in "iuf":
        raise DataError(f"{path.name} holds {kind} voxels; expected plain numbers.")
    voxels = int(np.prod(shape, dtype=object))
    if voxels > settings.file_pixels:
        raise LimitError(f"{path.name} claims {voxels:,} voxels; at most {settings.file_pixels:,} are accepted.")
    if data_offset > settings.header_bytes:
        raise LimitError(f"{path.name} has a header of {data_offset:,} bytes; it is damaged.")
    stored = RAS_TO_LPS @ header.affine
    spacing = np.linalg.norm(stored[:3, :3], axis=0)
    if not np.isfinite(stored).all() or spacing.min() <= 0:
        raise DataError(refusal("affine", name=path.name))
    scale = _scale_to_mm(header, spacing)
    stored[:3] *= scale or 1.0
    axes_mm = stored[:3, :3]
    stated = header.slice_axis if slice_axis is None else slice_axis
    found = find_widest_axis(axes_mm) if widest else find_slice_axis(axes_mm, stated)
    rows, columns = (axis for axis in range(3) if axis != found.index)
    axes = (found.index, rows, columns)
    return NiftiHeader(
        shape=(shape[found.index], shape[rows], shape[columns]),
        affine=stored[:, [*axes, 3]],
        axes=axes,
        slice_axis=found,
        spacing_known=scale is not None,
        placed=header.placed,
    )


def _scale_to_mm(header: _Header, spacing: NDArray[np.float64]) -> float | None:
    """Return what turns a header's lengths into millimetres; None where these cannot be lengths of a head."""
    scale = UNITS_MM.get(header.unit, 1.0)
    low, high = PLAUSIBLE_MM
    plausible = bool(((spacing * scale >= low) & (spacing * scale <= high)).all())
    return scale if header.has_spacing and plausible else None


def read_nifti(
    path: Path, settings: Settings | None = None, slice_axis: int | None = None, *, widest: bool = False
) -> tuple[NDArray[np.float32], NiftiHeader]:
    """Read a NIfTI volume: float32 (slices, rows, columns), and its size and place.

    Values are scaled by scl_slope and scl_inter; what is not a number becomes zero. Parameters and what is raised are
    those of :func:`read_nifti_header`.
    """
    header = read_nifti_header(path, settings, slice_axis, widest=widest)
    try:
        # The header's size was checked, and nibabel inflates no more than the voxels that it names.
        with _open_by_content(_file_of_voxels(path)) as file:
            voxels = np.asarray(nibabel.arrayproxy.ArrayProxy(file, _parse_header(path)), dtype=np.float32)
    except (*GZIP_ERRORS, ValueError, nibabel.spatialimages.HeaderDataError) as error:
        raise DataError(f"{path.name} is damaged: {error}.") from error
    array = voxels.reshape(voxels.shape[:3]).transpose(header.axes)
    return np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0), header


def is_label_map(path: Path) -> bool:
    """Whether a NIfTI volume is a map of labels: by its intent code, or by its voxels (:class:`LabelValues`).

    Voxels are read in their order until the answer is certain: of a scan no more than its first slices.

    Raises
    ------
    DataError
        It is damaged.
    """
    header = _parse_header(path)
    if int(header["intent_code"]) == LABEL_INTENT:
        return True
    kind = header.get_data_dtype()
    left = int(np.prod(header.get_data_shape(), dtype=object)) * kind.itemsize
    seen = LabelValues()
    try:
        with _open_by_content(_file_of_voxels(path)) as file:
            slope, inter = header.get_slope_inter()
            file.seek(int(header.get_data_offset()))
            while left and not (len(seen.values) and seen.is_decided):
                content = file.read(min(left, LOOK_BYTES))
                if len(content) < min(left, LOOK_BYTES):
                    raise DataError(f"{path.name} is damaged: its voxels end too early.")
                left -= len(content)
                values = np.frombuffer(content, kind).astype(np.float64)
                scaled = values if slope is None else values * slope + inter
                seen.add(np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0))
    except (*GZIP_ERRORS, ValueError, nibabel.spatialimages.HeaderDataError) as error:
        raise DataError(f"{path.name} is damaged: {error}.") from error
    return seen.is_labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Header:
    """A header as it is written."""

    shape: tuple[int, ...]
    """Without trailing ones."""
    kind: np.dtype[Any]
    data_offset: int
    affine: NDArray[np.float64]
    """To RAS, in the header's unit."""
    unit: int
    """Of lengths: a key of :data:`UNITS_MM`, or 0."""
    has_spacing: bool
    placed: bool
    slice_axis: int | None
    """The slice_dim of dim_info."""


def _interpret(path: Path) -> _Header:
    """Read a header; a step of 1 stands where it gives no distance between voxels (pixdim 0, negative or no number)."""
    header = _parse_header(path)
    try:
        pixdim = header["pixdim"][1:4]
        missing = ~(np.isfinite(pixdim) & (pixdim > 0))
        pixdim[missing] = np.where(np.isfinite(pixdim[missing]) & (pixdim[missing] < 0), -pixdim[missing], 1)
        header["pixdim"][1:4] = pixdim
        header.check_fix()
        shape = tuple(int(size) for size in header.get_data_shape())
        by_sform, by_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
        kind, data_offset = header.get_data_dtype(), int(header.get_data_offset())
        slice_axis = header.get_dim_info()[2]
    except (ValueError, OverflowError, KeyError, nibabel.spatialimages.HeaderDataError) as error:
        raise DataError(f"{path.name} has a damaged header: {error}.") from error
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return _Header(
        shape=shape,
        kind=kind,
        data_offset=data_offset,
        affine=affine,
        unit=int(header["xyzt_units"]) & 7,
        has_spacing=by_sform or not missing[: len(shape)].any(),
        placed=by_sform or by_qform,
        slice_axis=slice_axis,
    )


def _parse_header(path: Path) -> Any:
    """Read the fixed-size header alone: header extensions state their own length and are not read."""
    try:
        with _open_by_content(path) as file:
            start = file.read(HEADER_BYTES)
        for kind in (nibabel.nifti1.Nifti1PairHeader, nibabel.nifti2.Nifti2PairHeader):
            if kind.may_contain_header(start):
                return kind(start[: kind.sizeof_hdr], check=False)
    except (*GZIP_ERRORS, ValueError, nibabel.spatialimages.HeaderDataError) as error:
        raise DataError(f"{path.name} is not NIfTI, or damaged: {error}.") from error
    raise DataError(refusal("not_nifti", name=path.name))


def _open_by_content(path: Path) -> BufferedIOBase:
    """Open a file, or what is packed in it: names ending in .gz are given to files that are not, and the other way."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_START
    return gzip.open(path) if packed else path.open("rb")


def _file_of_voxels(path: Path) -> Path:
    """Return the file that holds a header's voxels: itself, or the .img beside a header alone (magic "ni1").

    Raises
    ------
    DataError
        There is no such file.
    """
    if bytes(_parse_header(path)["magic"].item())[:3] != b"ni1":
        return path
    found = [path.with_name(path.name.split(".hdr")[0] + ending) for ending in (".img", ".img.gz")]
    there = next((one for one in found if one.is_file()), None)
    if there is None:
        raise DataError(f"{path.name} is a header without voxels: {found[0].name} is not beside it; copy both.")
    return there


def find_slice_axis(axes_mm: NDArray[np.float64], stated: int | None = None) -> SliceAxis:
    """Find the axis along which a volume was acquired slice by slice: the one rule for the plane of an image.

    What is stated decides. Else pixels are square and slices are not as thick as pixels are wide, so that it is the axis
    whose spacing differs from two equal ones, or the one that is clearly the widest. Voxels that are about equally wide in
    all directions do not tell: such a volume counts as axial, however it is stored. (DICOM states its slices; see
    :mod:`core.data.index.stack`.)

    Parameters
    ----------
    axes_mm
        (3, 3): the step along each stored axis, a column each, in LPS millimetres.
    stated
        The axis that the file (dim_info) or its sidecar states.
    """
    if stated is not None:
        return SliceAxis(stated, "stated")
    spacing = np.linalg.norm(axes_mm, axis=0)
    told = _tell_by_spacing(spacing)
    if told is not None:
        return SliceAxis(told, "spacing")
    return SliceAxis(int(np.argmax(np.abs(axes_mm[2]) / spacing)), "convention")


def _tell_by_spacing(spacing_mm: NDArray[np.float64]) -> int | None:
    order = np.argsort(spacing_mm)
    low, middle, high = spacing_mm[order]
    if high >= WIDER * middle:
        return int(order[2])
    if middle - low <= high - middle:
        odd, one, other = 2, low, middle
    else:
        odd, one, other = 0, middle, high
    alike = other - one < SAME_SPACING * other
    differs = abs(spacing_mm[order[odd]] / (one + other) * 2 - 1) >= OTHER_SPACING
    return int(order[odd]) if alike and differs else None


def find_widest_axis(axes_mm: NDArray[np.float64]) -> SliceAxis:
    """Find the slice axis as the first version of the reader did (``PrepConfig.reader_version`` 1): along the widest spacing.

    It is the third where all are alike. Of nearly equal spacings the last digits of a number decide.
    """
    spacing = np.linalg.norm(axes_mm, axis=0)
    return SliceAxis(2 if np.ptp(spacing) < SAME_SPACING * spacing.max() else int(np.argmax(spacing)), "spacing")


def find_stated_slices(content: Mapping[str, Any], axes_mm: NDArray[np.float64]) -> int | None:
    """Return which stored axis of a NIfTI volume its sidecar says that slices are stacked along; None where it does not.

    Read are SliceEncodingDirection ("k-") and ImageOrientationPatientDICOM, of which the latter is believed where an axis
    runs nearly along its normal: a volume that was resampled may have kept its sidecar.

    Parameters
    ----------
    content
        The fields of the sidecar.
    axes_mm
        (3, 3): the step along each stored axis, a column each, in LPS.
    """
    named = str(content.get("SliceEncodingDirection", ""))[:1]
    if named in VOXEL_AXES:
        return VOXEL_AXES[named]
    try:
        row, column = np.array(content.get("ImageOrientationPatientDICOM"), np.float64).reshape(2, 3)
    except (TypeError, ValueError):
        return None
    along = np.abs(np.cross(row, column) @ (axes_mm / np.linalg.norm(axes_mm, axis=0)))
    return int(along.argmax()) if along.max() > NEARLY_ALONG else None
