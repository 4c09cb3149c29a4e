"""From a source's files to the images that a model sees, without the cache: the one way, for training and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_fill_holes, label  # type: ignore[attr-defined]

from core.config import PrepConfig
from core.data.formats.images import read_images
from core.data.prepare.common_grid import drop_unplaced, lay_on_common_grid
from core.data.prepare.examples import ImageFrame, PreparedSeries
from core.data.select import Source, check_frames
from core.data.study import Fault, Series
from core.data.volume import Volume, read_volumes
from core.data.voxels import find_blank_slices, find_head, find_window
from core.errors import ConfigError, DataError, refusal
from core.settings import Settings

FOREGROUND = 0.05
"""Share of the intensity window above which a voxel counts as head when the border is cut off: above the noise
of an unstripped background, below cerebrospinal fluid."""
CLIP_LIMIT = 2.0
TILES = 8
"""Of the adaptive histogram equalisation: how far a grey value may be stretched, and into how many tiles a side is cut."""
HEAD_GREY = 128
"""What a head is painted in where it is to be blanked: it takes the brain, and the tumour with it, out of an image."""


def prepare_source(
    source: Source,
    prep: PrepConfig,
    settings: Settings | None = None,
    *,
    contents: Sequence[memoryview] | None = None,
) -> PreparedSeries:
    """Read and prepare one series of any kind in its own planes, or a study's series together on a common grid.

    On a common grid slices are chosen where all sequences show tissue, and one box is cut out of all. A series that
    cannot be used becomes a fault.

    Parameters
    ----------
    source, prep
        What, and how.
    settings
        The limits; this installation's by default.
    contents
        What the first series' files hold, in their order, where
        :func:`core.data.formats.series_reader.read_files` was called already.

    Raises
    ------
    DataError
        None of them can be read, or nothing in them can be used; FrameOfReferenceError where they may not be laid over
        each other.
    """
    check_frames(source, prep)
    if source[0].kind == "picture" and not prep.grid_mm:
        return prepare_images(source[0], prep, settings)
    volumes, faults = read_volumes(source, settings, contents, version=prep.reader_version)
    if prep.grid_mm:
        volumes, unplaced = drop_unplaced(volumes, source[0].study_id)
        faults = (*faults, *unplaced)
    laid = lay_on_common_grid(volumes, prep, settings) if prep.grid_mm else list(volumes.values())
    return replace(prepare_volumes(laid, prep), faults=faults)


def prepare_volume(volume: Volume, prep: PrepConfig) -> PreparedSeries:
    """Prepare one volume; see :func:`prepare_volumes`."""
    return prepare_volumes([volume], prep)


def prepare_volumes(volumes: Sequence[Volume | None], prep: PrepConfig) -> PreparedSeries:
    """Window, choose, crop, square and resize volumes' slices, and put them together to examples.

    The window is set over the whole volume's non-zero voxels, so a positive factor on all intensities changes nothing
    and what differs between slices is kept. Resizing averages where it shrinks (no aliasing) and interpolates linearly
    where it enlarges.

    Parameters
    ----------
    volumes
        Voxels (slices, rows, columns) with their spacing in millimetres, not changed: one volume, or those of a study
        on one grid, in the order of the channels; None where the study lacks a sequence.
    prep
        How; ``sequences`` is not used.

    Returns
    -------
    PreparedSeries
        Pixels in 0..255, slices ascending; zero voxels, padding and lacking sequences are 0.

    Raises
    ------
    DataError
        Every slice is blank.
    """
    present = [volume for volume in volumes if volume is not None]
    first = present[0]
    blank = np.stack([find_blank_slices(volume.voxels) for volume in present])
    filled = np.flatnonzero(~blank.any(axis=0))
    if not filled.size:  # no place where all of them show tissue
        filled = np.flatnonzero(~blank.all(axis=0))
    if not filled.size:
        file = first.files[0] if first.files else "no file"
        raise DataError(refusal("blank", count=blank.shape[1], sequence=first.sequence, file=file))
    windows = [find_window(volume.voxels, prep) for volume in present]
    levels = [low + FOREGROUND * (high - low) for low, high in windows]
    _, rows, columns = first.voxels.shape
    boxes = [(0, rows, 0, columns)]
    if prep.crop:
        boxes = [find_head(volume.voxels, filled, level) for volume, level in zip(present, levels, strict=True)]
    row_starts, row_stops, column_starts, column_stops = zip(*boxes, strict=True)
    box = (min(row_starts), max(row_stops), min(column_starts), max(column_stops))
    _, row_mm, column_mm = first.spacing_mm
    frame = _place((rows, columns), box, row_mm, column_mm, prep)
    brain = None
    if prep.slice_choice == "window":
        brain = np.sum(
            [volume.voxels.count_above(level)[filled] for volume, level in zip(present, levels, strict=True)], axis=0
        )
    chosen = _choose_slices(filled, prep, brain)
    drawn: list[NDArray[np.uint8] | None] = []
    shown = iter(zip(present, windows, strict=True))
    for volume in volumes:
        drawn.append(None if volume is None else _draw_slices(*next(shown), chosen, frame, prep))
    return _build_examples(
        drawn,
        prep,
        PreparedSeries(
            pixels=np.empty((0, prep.size_px, prep.size_px), np.uint8),
            slice_index=chosen.astype(np.int32),
            position_mm=first.positions_mm[chosen].astype(np.float64),
            files=tuple(first.files[index] if first.files else "" for index in chosen),
            frames=(frame,) * len(chosen),
            slice_total=blank.shape[1],
            blank_count=int(blank.all(axis=0).sum()),
        ),
        [str(volume.sequence) for volume in present] if len(volumes) > 1 else [],
    )


def _choose_slices(
    filled: NDArray[np.int64], prep: PrepConfig, brain: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Pick from the indices of the slices that are not blank; ascending.

    `brain`, for slice_choice "window", is how many voxels of each of them show tissue.
    """
    if prep.slice_choice == "all":
        return filled
    if prep.slice_choice == "window":
        most = len(filled) // 2 if brain is None else int(brain.argmax())
        start = min(max(most - prep.slice_count // 2, 0), max(len(filled) - prep.slice_count, 0))
        return filled[start : start + prep.slice_count]
    middle = (filled[0] + filled[-1]) / 2
    distance = np.abs(filled - middle)
    inside = filled[distance <= prep.slice_span * (filled[-1] - filled[0] + 1) / 2]
    count = min(prep.slice_count, len(filled))
    if len(inside) < count:  # a thick series: as many as asked for matters more than how far out they lie
        inside = np.sort(filled[np.argsort(distance, kind="stable")[:count]])
    return inside[((np.arange(count) + 0.5) * len(inside) / count).astype(np.int64)]


def _draw_slices(
    volume: Volume, window: tuple[float, float], chosen: NDArray[np.int64], frame: ImageFrame, prep: PrepConfig
) -> NDArray[np.uint8]:
    """Draw slices (n, size, size), or each with the slices below and above it (n, 3, size, size)."""
    needed = chosen
    if prep.channels == "neighbours":  # at the volume's end the slice is its own neighbour
        needed = np.clip(chosen[:, None] + np.array([-1, 0, 1]), 0, volume.voxels.shape[0] - 1)
    wanted = np.unique(needed)
    cut_out = volume.voxels.map_slices(lambda values: _apply_window(values, *window), wanted, frame.box)
    images = {
        int(index): _finish(_draw(grey, frame, prep.size_px), prep) for index, grey in zip(wanted, cut_out, strict=True)
    }
    stacked = np.stack([images[int(index)] for index in needed.ravel()])
    return stacked.reshape(*needed.shape, prep.size_px, prep.size_px)


def _finish(image: NDArray[np.uint8], prep: PrepConfig) -> NDArray[np.uint8]:
    """What is done to a drawn slice (size, size) at the end: equalise it, blank its head."""
    equalised = _equalise(image, prep)
    return blank_heads(equalised[None])[0] if prep.blank_head else equalised


def blank_heads(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint each image's head, its largest connected bright region with its holes, in one grey.

    What lies outside the head stays as it is. (n, size, size) -> (n, size, size); not changed.
    """
    blanked = images.copy()
    for image in blanked:
        regions, count = label(image > 0)
        if count:
            head = regions == 1 + np.bincount(regions.ravel())[1:].argmax()
            image[binary_fill_holes(head)] = HEAD_GREY
    return blanked


def _equalise(image: NDArray[np.uint8], prep: PrepConfig) -> NDArray[np.uint8]:
    """Even out the contrast place by place; what is 0, the outside of the head, stays 0."""
    if prep.contrast == "none":
        return image
    if find_spec("cv2") is None:
        raise ConfigError("contrast=clahe needs OpenCV, which make demo leaves out; make app installs it.")
    import cv2

    tiles = cv2.createCLAHE(clipLimit=CLIP_LIMIT, tileGridSize=(TILES, TILES))
    return np.where(image == 0, 0, tiles.apply(image)).astype(np.uint8)


def _apply_window(image: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Map voxels of any shape to 0..255 as float32: `low` becomes 0, `high` 255, and what is exactly 0 stays 0."""
    grey = image.astype(np.float64)
    grey -= low
    grey /= high - low
    np.clip(grey, 0, 1, out=grey)
    grey *= 255
    grey[image == 0] = 0  # outside the head, whatever the window: z-scored volumes have negative tissue
    return grey.astype(np.float32)


def _build_examples(
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


def prepare_images(series: Series, prep: PrepConfig, settings: Settings | None = None) -> PreparedSeries:
    """Read loose images of any size and mode into square grey ones; every readable image is kept, and every page of it.

    An image enters in the prepared form: it is squared and resized, but neither windowed, chosen nor
    cropped, and its pixels count as square (it has no millimetres). An exported image read back at its own
    size is therefore unchanged. `settings` are the limits; this installation's by default.

    Raises
    ------
    DataError
        None of the images can be read; the first reason is given.
    """
    if prep.form != "slice" or prep.channels != "grey":
        raise DataError(refusal("loose_images", study=series.study_id))
    kept: list[tuple[int, str, ImageFrame, NDArray[np.uint8]]] = []
    faults: list[Fault] = []
    blank_count, index = 0, 0
    read = read_images(series.files, settings, version=prep.reader_version)
    for path, pages in zip(series.files, read, strict=True):
        if isinstance(pages, DataError):
            faults.append(Fault(path=str(path), reason=str(pages)))
            index += 1
            continue
        for image in pages:
            rows, columns = image.shape
            frame = _place((rows, columns), (0, rows, 0, columns), 1.0, 1.0, prep)
            drawn = _draw(image[frame.box], frame, prep.size_px)
            kept.append((index, path.name, frame, blank_heads(drawn[None])[0] if prep.blank_head else drawn))
            blank_count += not image.any()
            index += 1
    if not kept:
        reason = faults[0].reason if faults else "it lists no files."
        raise DataError(f"No image of study {series.study_id} can be used: {reason}")
    return PreparedSeries(
        pixels=np.stack([pixels for *_, pixels in kept]),
        slice_index=np.array([number for number, *_ in kept], np.int32),
        position_mm=np.full(len(kept), np.nan),
        files=tuple(name for _, name, _, _ in kept),
        frames=tuple(frame for _, _, frame, _ in kept),
        slice_total=index,
        blank_count=blank_count,
        faults=tuple(faults),
    )


def _place(
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


def _draw(grey: NDArray[np.float32], frame: ImageFrame, size_px: int) -> NDArray[np.uint8]:
    """Draw what was cut out, in 0..255, into a black square."""
    image = np.zeros((size_px, size_px), np.uint8)
    drawn = _resize(grey, (frame.bottom - frame.top, frame.right - frame.left))
    image[frame.top : frame.bottom, frame.left : frame.right] = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
    return image


def lay_on_source(heat: NDArray[np.float32], frame: ImageFrame) -> NDArray[np.float32]:
    """Lay a (size, size) map of a drawn image back over the source slice: (rows, columns), zero outside the box."""
    source = np.zeros(frame.source_shape, np.float32)
    inner = heat[frame.top : frame.bottom, frame.left : frame.right]
    shape = (frame.row_stop - frame.row_start, frame.column_stop - frame.column_start)
    source[frame.box] = _resize(inner, shape)
    return source


def _resize(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resize to (rows, columns) with a triangle filter as wide as the shrinking asks for."""
    if image.shape == shape:
        return np.asarray(image, np.float32)
    pillow = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(pillow.resize((shape[1], shape[0]), Image.Resampling.BILINEAR), np.float32)
