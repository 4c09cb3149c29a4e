"""From a volume to the pictures that a model sees: the one way, for training and for prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.study import Fault, Series
from core.data.volume import Volume

__all__ = ["PictureFrame", "PreparedSeries", "prepare_pictures", "prepare_series", "prepare_volume"]


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
        raise NotImplementedError


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
    """Window, choose, crop, square and resize a volume's slices."""
    raise NotImplementedError


def prepare_pictures(series: Series, prep: PrepConfig) -> PreparedSeries:
    """Read loose pictures of any size and mode into square grey ones; every picture is kept."""
    raise NotImplementedError


def prepare_series(series: Series, prep: PrepConfig) -> PreparedSeries:
    """Read and prepare one series of any kind, without the cache."""
    raise NotImplementedError
