"""What came of a source: the examples that a network sees, and where in the source each of their slices lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.study import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFrame:
    """Where in the source slice a prepared image lies, so that a map can be laid back over the slice
    (:func:`core.data.prepare.slices.lay_on_source`).

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
