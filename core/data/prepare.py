"""From a volume to the pictures that a model sees: the one way, for training and for prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.percentile import percentiles
from core.data.pictures import read_picture
from core.data.study import Fault, Series
from core.data.volume import Volume, find_blank_slices, read_volume
from core.errors import DataError
from core.settings import Settings, load_settings

__all__ = [
    "FOREGROUND",
    "PictureFrame",
    "PreparedSeries",
    "apply_window",
    "choose_slices",
    "cut",
    "draw",
    "find_head",
    "place",
    "prepare_pictures",
    "prepare_series",
    "prepare_volume",
]

FOREGROUND = 0.05
"""Share of the intensity window above which a voxel counts as head when the border is cut off: above the noise
of an unstripped background, below cerebrospinal fluid."""
MARGIN = 0.02
"""Border kept around the head, as a share of the box's longer side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFrame:
    """Where in the source slice a prepared picture lies, so that a map can be laid back over the slice.

    The source box rows [row_start, row_stop) x columns [column_start, column_stop) fills the picture's rows
    [top, bottom) x columns [left, right); what is around it is padding.
    """

    source_shape: tuple[int, int]
    row_start: int
    row_stop: int
    column_start: int
    column_stop: int
    top: int
    bottom: int
    left: int
    right: int

    def to_source(self, heat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lay a (size, size) map back over the source slice: (rows, columns), zero outside the box."""
        source = np.zeros(self.source_shape, np.float32)
        inner = heat[self.top : self.bottom, self.left : self.right]
        shape = (self.row_stop - self.row_start, self.column_stop - self.column_start)
        source[self.row_start : self.row_stop, self.column_start : self.column_stop] = _resize(inner, shape)
        return source


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedSeries:
    """The pictures of one series."""

    pixels: NDArray[np.uint8]
    """(pictures, size, size); may be a read-only memory map."""
    slice_index: NDArray[np.int32]
    """(pictures,): which slice of the volume each is."""
    position_mm: NDArray[np.float64]
    """(pictures,): position along the plane's axis; NaN for loose pictures."""
    files: tuple[str, ...]
    """Source file name of each picture."""
    frames: tuple[PictureFrame, ...]
    """One per picture (all equal for a volume)."""
    slice_total: int
    """Slices of the source series, blank ones included."""
    blank_count: int
    """How many of them are blank."""
    faults: tuple[Fault, ...] = ()


def prepare_volume(volume: Volume, prep: PrepConfig) -> PreparedSeries:
    """Window, choose, crop, square and resize a volume's slices.

    The window is set by percentiles of the whole volume's non-zero voxels, so a positive factor on all
    intensities changes nothing and what differs between slices is kept. Resizing averages where it shrinks
    (no aliasing) and interpolates linearly where it enlarges.

    Parameters
    ----------
    volume
        Voxels (slices, rows, columns) with their spacing in millimetres; not changed.
    prep
        How; ``sequences`` is not looked at.

    Returns
    -------
    PreparedSeries
        Pixels (pictures, size_px, size_px) in 0..255, slices ascending; zero voxels and padding are 0.

    Raises
    ------
    DataError
        Every slice is blank.
    """
    array = volume.array
    blank = find_blank_slices(array)
    filled = np.flatnonzero(~blank)
    if not filled.size:
        raise DataError(
            f"All {len(array)} slices of the {volume.sequence} series ({volume.files[0] if volume.files else 'no file'}) "
            "are blank; a head was expected. Leave this series out, or hand in another."
        )
    low, high = _find_window(array, prep)
    box = (
        find_head(array, filled, low + FOREGROUND * (high - low))
        if prep.crop
        else (0, array.shape[1], 0, array.shape[2])
    )
    _, row_mm, column_mm = volume.spacing_mm
    frame = place((array.shape[1], array.shape[2]), box, row_mm, column_mm, prep)
    chosen = choose_slices(filled, prep)
    pictures = [draw(apply_window(cut(array[index], frame), low, high), frame, prep.size_px) for index in chosen]
    return PreparedSeries(
        pixels=np.stack(pictures),
        slice_index=chosen.astype(np.int32),
        position_mm=volume.positions_mm[chosen].astype(np.float64),
        files=tuple(volume.files[index] for index in chosen),
        frames=(frame,) * len(chosen),
        slice_total=len(array),
        blank_count=int(blank.sum()),
    )


def prepare_pictures(series: Series, prep: PrepConfig, settings: Settings | None = None) -> PreparedSeries:
    """Read loose pictures of any size and mode into square grey ones; every readable picture is kept.

    A picture enters in the prepared form: it is squared and resized, but neither windowed, chosen nor
    cropped, and its pixels count as square (it has no millimetres). An exported picture read back at its own
    size is therefore unchanged. `settings` are the limits; this installation's by default.

    Raises
    ------
    DataError
        None of the pictures can be read; the first reason is given.
    """
    kept: list[tuple[int, PictureFrame, NDArray[np.uint8]]] = []
    faults: list[Fault] = []
    blank_count = 0
    for index, path in enumerate(series.files):
        try:
            picture = read_picture(path, settings)
        except DataError as error:
            faults.append(Fault(path=str(path), reason=str(error)))
            continue
        rows, columns = picture.shape
        frame = place((rows, columns), (0, rows, 0, columns), 1.0, 1.0, prep)
        kept.append((index, frame, draw(cut(picture, frame), frame, prep.size_px)))
        blank_count += not picture.any()
    if not kept:
        reason = faults[0].reason if faults else "it lists no files."
        raise DataError(f"No picture of study {series.study_id} can be used: {reason}")
    return PreparedSeries(
        pixels=np.stack([pixels for _, _, pixels in kept]),
        slice_index=np.array([index for index, _, _ in kept], np.int32),
        position_mm=np.full(len(kept), np.nan),
        files=tuple(series.files[index].name for index, _, _ in kept),
        frames=tuple(frame for _, frame, _ in kept),
        slice_total=len(series.files),
        blank_count=blank_count,
        faults=tuple(faults),
    )


def prepare_series(
    series: Series, prep: PrepConfig, settings: Settings | None = None, *, contents: Sequence[memoryview] | None = None
) -> PreparedSeries:
    """Read and prepare one series of any kind, without the cache.

    Parameters
    ----------
    series, prep
        What, and how.
    settings
        The limits; this installation's by default.
    contents
        What the series' files hold, in their order, where :func:`core.data.quick.read_files` was asked already.

    Raises
    ------
    DataError
        The series cannot be read, or nothing in it can be used.
    """
    if series.kind == "picture":
        return prepare_pictures(series, prep, settings)
    from core.data.quick import prepare_quickly  # it is made of this module's parts

    quick = prepare_quickly(series, prep, settings or load_settings(), contents)
    if quick is not None:
        return quick
    volume, faults = read_volume(series, settings)
    return replace(prepare_volume(volume, prep), faults=faults)


def _find_window(array: NDArray[np.float32], prep: PrepConfig) -> tuple[float, float]:
    voxels = array[array != 0]
    low, high = percentiles(voxels, [prep.percentile_low, prep.percentile_high])
    if not high > low:  # one single intensity: show it white
        low = high - abs(high)
    return low, high


def apply_window(picture: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Map voxels of any shape to 0..255 as float32: `low` becomes 0, `high` 255, and what is exactly 0 stays 0."""
    grey = picture.astype(np.float64)
    grey -= low
    grey /= high - low
    np.clip(grey, 0, 1, out=grey)
    grey *= 255
    grey[picture == 0] = 0  # outside the head, whatever the window: z-scored volumes have negative tissue
    return grey.astype(np.float32)


def choose_slices(filled: NDArray[np.int64], prep: PrepConfig) -> NDArray[np.int64]:
    """Pick from the indices of the slices that are not blank; ascending."""
    if prep.slice_choice == "all":
        return filled
    middle = (filled[0] + filled[-1]) / 2
    distance = np.abs(filled - middle)
    inside = filled[distance <= prep.slice_span * (filled[-1] - filled[0] + 1) / 2]
    count = min(prep.slice_count, len(filled))
    if len(inside) < count:  # a thick series: as many as asked for matters more than how far out they lie
        inside = np.sort(filled[np.argsort(distance, kind="stable")[:count]])
    return inside[((np.arange(count) + 0.5) * len(inside) / count).astype(np.int64)]


def find_head(array: NDArray[np.float32], filled: NDArray[np.int64], level: float) -> tuple[int, int, int, int]:
    """Box (row_start, row_stop, column_start, column_stop) around all that is brighter than `level`."""
    rows, columns = array.shape[1:]
    head = np.zeros((rows, columns), bool)
    for index in filled:
        head |= (array[index] > level) & (array[index] != 0)
    in_rows, in_columns = np.flatnonzero(head.any(axis=1)), np.flatnonzero(head.any(axis=0))
    if not in_rows.size:
        return 0, rows, 0, columns
    margin = round(MARGIN * max(np.ptp(in_rows), np.ptp(in_columns)) + 0.5)
    return (
        max(int(in_rows[0]) - margin, 0),
        min(int(in_rows[-1]) + 1 + margin, rows),
        max(int(in_columns[0]) - margin, 0),
        min(int(in_columns[-1]) + 1 + margin, columns),
    )


def place(
    source_shape: tuple[int, int], box: tuple[int, int, int, int], row_mm: float, column_mm: float, prep: PrepConfig
) -> PictureFrame:
    """Find where the box goes in the square; the spacings are the distances between rows and between columns."""
    row_start, row_stop, column_start, column_stop = box
    height = width = prep.size_px
    if prep.fit == "pad":
        height_mm, width_mm = (row_stop - row_start) * row_mm, (column_stop - column_start) * column_mm
        scale = prep.size_px / max(height_mm, width_mm)
        height, width = max(round(height_mm * scale), 1), max(round(width_mm * scale), 1)
    top, left = (prep.size_px - height) // 2, (prep.size_px - width) // 2
    return PictureFrame(
        source_shape=source_shape,
        row_start=row_start,
        row_stop=row_stop,
        column_start=column_start,
        column_stop=column_stop,
        top=top,
        bottom=top + height,
        left=left,
        right=left + width,
    )


def cut(picture: NDArray[Any], frame: PictureFrame) -> NDArray[Any]:
    """Cut the frame's box out of a slice."""
    return picture[frame.row_start : frame.row_stop, frame.column_start : frame.column_stop]


def draw(grey: NDArray[np.float32], frame: PictureFrame, size_px: int) -> NDArray[np.uint8]:
    """Draw what was cut out, in 0..255, into a black square."""
    picture = np.zeros((size_px, size_px), np.uint8)
    drawn = _resize(grey, (frame.bottom - frame.top, frame.right - frame.left))
    picture[frame.top : frame.bottom, frame.left : frame.right] = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
    return picture


def _resize(picture: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize to (rows, columns) with a triangle filter as wide as the shrinking asks for."""
    if picture.shape == shape:
        return np.asarray(picture, np.float32)
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR), np.float32)
