"""What the network sees at once: an example, put together from the prepared slices of one or several sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.config import PrepConfig
from core.data.study import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFrame:
    """Where in the source slice a prepared image lies, so that a map can be laid back over the slice.

    The source box rows [row_start, row_stop) x columns [column_start, column_stop) fills the image's rows
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

    @property
    def box(self) -> tuple[slice, slice]:
        """The source box, as an index of (rows, columns)."""
        return slice(self.row_start, self.row_stop), slice(self.column_start, self.column_stop)

    def to_source(self, heat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lay a (size, size) map back over the source slice: (rows, columns), zero outside the box."""
        source = np.zeros(self.source_shape, np.float32)
        inner = heat[self.top : self.bottom, self.left : self.right]
        shape = (self.row_stop - self.row_start, self.column_stop - self.column_start)
        source[self.box] = resize(inner, shape)
        return source


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedSeries:
    """What the network sees of one series, or of one study's series on a common grid: its examples."""

    pixels: NDArray[np.uint8]
    """(examples, ...): a slice (size, size), one with colour channels or streams (channels, size, size), or a volume
    (channels, depth, size, size); may be a read-only memory map."""
    slice_index: NDArray[np.int32]
    """(examples,): which slice of the source each is; of a volume, the middle one."""
    position_mm: NDArray[np.float64]
    """(examples,): position of that slice along the plane's axis; NaN for loose images."""
    files: tuple[str, ...]
    """Source file name of that slice; empty on a common grid."""
    frames: tuple[ImageFrame, ...]
    """One per example (all equal for a volume)."""
    slice_total: int
    """Slices of the source, blank ones included."""
    blank_count: int
    """How many of them are blank."""
    faults: tuple[Fault, ...] = ()
    sequences: tuple[str, ...] = ()
    """MR sequence of each example, several joined by "+"; empty where all are of the series' own."""
    layers: NDArray[np.int32] | None = None
    """(examples, depth): which slice of the source each layer of a volume is, -1 where it is padding."""
    layers_mm: NDArray[np.float64] | None = None
    """(examples, depth): their positions, NaN where it is padding."""
    content: str = ""
    """Digest of the source's files: their names and every byte in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSlice:
    """One slice among those that the network saw, and where in the examples it stands."""

    sequence: str
    slice_index: int
    position_mm: float
    example: int
    place: tuple[int, ...]
    """Where in the example: () for a slice, (channel,) with channels or streams, (channel, layer) in a volume."""

    def take(self, values: NDArray[Any]) -> NDArray[Any]:
        """The slice's (size, size) part of an example, or of a map of it, which all channels may share."""
        if values.ndim == 2:
            return values
        part: NDArray[Any] = values[self.place] if values.ndim == len(self.place) + 2 else values[self.place[-1]]
        return part


def list_seen(prepared: PreparedSeries, prep: PrepConfig, own: str) -> tuple[SeenSlice, ...]:
    """List the slices that the network saw, example by example; `own` is the sequence of a series prepared alone."""
    seen = []
    for example in range(len(prepared.pixels)):
        names = prepared.sequences[example].split("+") if prepared.sequences else [own]
        channels = [(place, str(name)) for place, name in enumerate(prep.sequences) if str(name) in names]
        if not prep.combines:
            channels = [(0, names[0])]
        for channel, name in channels:
            if prepared.layers is not None and prepared.layers_mm is not None:
                seen += [
                    SeenSlice(sequence=name, slice_index=int(index), position_mm=float(position), example=example,
                              place=(channel, layer))
                    for layer, (index, position) in enumerate(
                        zip(prepared.layers[example], prepared.layers_mm[example], strict=True))
                    if index >= 0
                ]  # fmt: skip
                continue
            middle = (1,) if prep.channels == "neighbours" else (channel,) if prep.combines else ()
            seen.append(
                SeenSlice(
                    sequence=name,
                    slice_index=int(prepared.slice_index[example]),
                    position_mm=float(prepared.position_mm[example]),
                    example=example,
                    place=middle,
                )
            )
    return tuple(seen)


def build_examples(
    drawn: Sequence[NDArray[np.uint8] | None], prep: PrepConfig, slices: PreparedSeries, sequences: Sequence[str]
) -> PreparedSeries:
    """Put prepared slices together to what the network sees at once.

    Parameters
    ----------
    drawn
        For each sequence its slices (n, size, size), or with their neighbours (n, 3, size, size); None where the study
        lacks it. Slice i lies at the same place in all of them.
    prep
        ``form`` and ``channels`` say how.
    slices
        Where the n slices come from; its pixels are not read.
    sequences
        Names of the sequences that are there, in order; empty for a series of its own.

    Returns
    -------
    PreparedSeries
        "slice" and "streams" give one example per slice (and per sequence, where these are not combined); "volume" one
        per sequence, or one in all where they are combined. A volume with fewer than ``slice_count`` slices is padded
        with black ones, equally many on both sides.
    """
    there = [part for part in drawn if part is not None]
    if prep.combines:
        blank = np.zeros_like(there[0])
        stacked = np.stack([blank if part is None else part for part in drawn], axis=1)
        if prep.form == "volume":
            stacked = stacked.swapaxes(0, 1)[None]
        blocks, names = [stacked], ["+".join(sequences)]
    else:
        blocks = [part[None, None] if prep.form == "volume" else part for part in there]
        names = list(sequences)
    if prep.form == "volume":
        blocks = [_pad(block, prep.slice_count) for block in blocks]
        slices = _as_volume(slices, prep.slice_count)
    return replace(
        slices,
        pixels=blocks[0] if len(blocks) == 1 else np.concatenate(blocks),
        slice_index=np.tile(slices.slice_index, len(blocks)),
        position_mm=np.tile(slices.position_mm, len(blocks)),
        files=slices.files * len(blocks),
        frames=slices.frames * len(blocks),
        sequences=tuple(name for name, block in zip(names, blocks, strict=False) for _ in range(len(block))),
        layers=None if slices.layers is None else np.tile(slices.layers, (len(blocks), 1)),
        layers_mm=None if slices.layers_mm is None else np.tile(slices.layers_mm, (len(blocks), 1)),
    )


def _as_volume(slices: PreparedSeries, depth: int) -> PreparedSeries:
    """One example in place of its slices; the middle one stands for all."""
    middle = len(slices.slice_index) // 2
    return replace(
        slices,
        slice_index=slices.slice_index[[middle]],
        position_mm=slices.position_mm[[middle]],
        files=(slices.files[middle],),
        frames=(slices.frames[middle],),
        layers=_pad(slices.slice_index[None], depth, axis=1, value=-1),
        layers_mm=_pad(slices.position_mm[None], depth, axis=1, value=np.nan),
    )


def _pad(block: NDArray[Any], depth: int, axis: int = 2, value: float = 0) -> NDArray[Any]:
    """Fill an axis up to `depth`, equally on both sides."""
    lacking = depth - block.shape[axis]
    widths = [(0, 0)] * block.ndim
    widths[axis] = (lacking // 2, lacking - lacking // 2)
    return np.pad(block, widths, constant_values=value)


def place(
    source_shape: tuple[int, int], box: tuple[int, int, int, int], row_mm: float, column_mm: float, prep: PrepConfig
) -> ImageFrame:
    """Find where the box goes in the square; the spacings are the distances between rows and between columns."""
    row_start, row_stop, column_start, column_stop = box
    height = width = prep.size_px
    if prep.fit == "pad":
        height_mm, width_mm = (row_stop - row_start) * row_mm, (column_stop - column_start) * column_mm
        scale = prep.size_px / max(height_mm, width_mm)
        height, width = max(round(height_mm * scale), 1), max(round(width_mm * scale), 1)
    top, left = (prep.size_px - height) // 2, (prep.size_px - width) // 2
    return ImageFrame(
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


def draw(grey: NDArray[np.float32], frame: ImageFrame, size_px: int) -> NDArray[np.uint8]:
    """Draw what was cut out, in 0..255, into a black square."""
    image = np.zeros((size_px, size_px), np.uint8)
    drawn = resize(grey, (frame.bottom - frame.top, frame.right - frame.left))
    image[frame.top : frame.bottom, frame.left : frame.right] = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
    return image


def resize(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize to (rows, columns) with a triangle filter as wide as the shrinking asks for."""
    if image.shape == shape:
        return np.asarray(image, np.float32)
    pillow = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(pillow.resize((shape[1], shape[0]), Image.Resampling.BILINEAR), np.float32)
