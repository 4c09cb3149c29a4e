"""From a series on the disk to what the viewer shows."""

from __future__ import annotations

import numpy as np

from core.config import PrepConfig
from core.data.prepare.slices import prepare_images
from core.data.study import Fault, Series
from core.data.volume import read_volume
from core.data.voxels import find_blank_slices
from core.explain.overlay import display_window, to_grey
from ui.widgets.slices import SliceStack, find_box

SHOWN_PREP = PrepConfig(size_px=384, crop=False, slice_choice="all", percentile_low=0, percentile_high=100)
"""How loose images, which have no volume, are read for the viewer."""


def read_stack(series: Series) -> tuple[SliceStack, tuple[Fault, ...]]:
    """Read a series with its blank slices, in one window for the whole volume.

    Loose images, which have neither geometry nor one size, are padded to squares and numbered.

    Returns
    -------
    SliceStack, tuple of Fault
        The series, and the files that could not be read.

    Raises
    ------
    MGMTLabError
        Nothing of the series can be shown.
    """
    return _read_images(series) if series.kind == "picture" else _read_volume(series)


def _read_volume(series: Series) -> tuple[SliceStack, tuple[Fault, ...]]:
    volume, faults = read_volume(series)
    pixels = to_grey(volume.array, display_window(volume.array))
    _, row_mm, column_mm = volume.spacing_mm
    in_mm = volume.in_mm or volume.offsets_mm is not None
    positions = volume.positions_mm if in_mm else 1.0 + np.arange(len(pixels))
    stack = SliceStack(
        sequence=series.sequence,
        series_uid=series.series_uid,
        plane=volume.plane,
        pixels=pixels,
        positions=np.asarray(positions, dtype=np.float64),
        in_mm=in_mm,
        spacing_mm=(row_mm, column_mm),
        blank=find_blank_slices(volume.voxels),
        box=find_box(pixels),
        files=volume.files,
    )
    return stack, faults


def _read_images(series: Series) -> tuple[SliceStack, tuple[Fault, ...]]:
    prepared = prepare_images(series, SHOWN_PREP)
    side = prepared.pixels.shape[1]
    stack = SliceStack(
        sequence=series.sequence,
        series_uid=series.series_uid,
        plane=series.plane,
        pixels=np.asarray(prepared.pixels),
        positions=prepared.slice_index.astype(np.float64) + 1,
        in_mm=False,
        spacing_mm=(1.0, 1.0),
        blank=np.logical_not(prepared.pixels.any(axis=(1, 2))),
        box=(0, side, 0, side),
        files=prepared.files,
    )
    return stack, prepared.faults
