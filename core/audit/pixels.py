"""One pass over the pixels: for each slice its digest, its perceptual hash and a thumbnail, kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from core.data.formats.images import read_images
from core.data.index.series import relative_to
from core.data.study import Series
from core.data.volume import read_volume
from core.data.voxels import Voxels, find_blank_slices
from core.errors import DataError, may_pass
from core.files import parse_document, replace_atomically
from core.parallel import run_tasks
from core.progress import Progress
from core.settings import Settings

VERSION = 2
"""Part of every key: raise it whenever the same pixels would give other marks."""
THUMBNAIL_PX = 32
HASH_PX = 8
"""The hash is one bit for each of 8 x 8 low frequencies."""
TISSUE = 0.1
"""Share of the image's brightness above which a pixel counts as tissue."""
INLINE = 4
"""Up to so many series are read in this process: starting others would take longer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesPixels:
    """What the audit keeps of one series' pixels; arrays have one entry per slice, in spatial order."""

    files: tuple[str, ...]
    """Name of each slice's file below the cohort's folder; ``file#slice`` where one file holds several."""
    digests: NDArray[np.uint64]
    """(slices, 2): 128 bits of the decoded pixels in canonical orientation; equal pixels have equal digests."""
    hashes: NDArray[np.uint64]
    """(slices,): 64-bit perceptual hash; similar images differ in few bits."""
    blank: NDArray[np.bool_]
    tissue: NDArray[np.float32]
    """Share of pixels that show something, 0..1."""
    levels: tuple[float, float]
    """Median and 99th percentile of the voxels above the background; NaN where all is blank."""
    faults: tuple[str, ...]
    """What could not be read, as ``name: reason``."""
    entry: Path
    """The cache's file, which holds the thumbnails too."""


def read_all(
    series: Sequence[Series], root: Path, settings: Settings, jobs: int, progress: Progress
) -> list[SeriesPixels | str]:
    """Read the marks of every series, from the cache where its files are unchanged, in parallel where not.

    Returns
    -------
    list
        In the order of `series`; a series that cannot be read at all is the reason, as text.
    """
    found: dict[int, SeriesPixels | str] = {}
    for number, one in enumerate(series):
        cached = _read_entry(_entry(one, settings), one, root)
        if cached is not None and not any(map(may_pass, cached.faults)):
            found[number] = cached
    progress(len(found), len(series), "from the cache" if found else "")
    missing = [number for number in range(len(series)) if number not in found]
    for number, entry in _scan_all(missing, series, settings, jobs):
        marks = entry if isinstance(entry, str) else _read_entry(entry, series[number], root)
        found[number] = "its entry in the cache vanished; run the audit again." if marks is None else marks
        progress(len(found), len(series), f"{series[number].study_id} {series[number].sequence}")
    return [found[number] for number in range(len(series))]


def read_thumbnails(pixels: SeriesPixels) -> NDArray[np.float32]:
    """Return (slices, 32, 32): each with zero mean and unit variance, so that a product's mean is a correlation."""
    return _load_thumbnails(pixels.entry)


@lru_cache(maxsize=512)
def _load_thumbnails(entry: Path) -> NDArray[np.float32]:
    with np.load(entry, allow_pickle=False) as content:
        stored = content["thumbnails"].astype(np.float32)
    stored -= stored.mean(axis=(1, 2), keepdims=True)
    spread = stored.std(axis=(1, 2), keepdims=True)
    thumbnails: NDArray[np.float32] = stored / np.where(spread > 0, spread, 1)
    return thumbnails


def make_thumbnail(image: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Shrink an image of shape (rows, columns) to (32, 32) by averaging, its range stretched to 16 bits."""
    small = Image.fromarray(np.ascontiguousarray(image)).resize((THUMBNAIL_PX,) * 2, Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.float64)
    low, high = values.min(), values.max()
    return np.rint((values - low) * (65535 / (high - low) if high > low else 0)).astype(np.uint16)


def hash_thumbnails(thumbnails: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Return (slices,) perceptual hashes of (slices, 32, 32) thumbnails.

    The signs of the 8 x 8 lowest frequencies of the cosine transform against their median, without those that
    are constant along an axis: scaling, windowing and compression change few of them (Zauner 2010, "pHash").
    """
    low = dctn(thumbnails.astype(np.float64), axes=(1, 2), norm="ortho")[:, 1 : HASH_PX + 1, 1 : HASH_PX + 1]
    flat = low.reshape(len(low), -1)
    bits = flat > np.median(flat, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def read_slices(series: Series, settings: Settings) -> tuple[Sequence[NDArray[np.float32]], list[str], list[str]]:
    """Return the slices in canonical orientation, the name of each, and what could not be read.

    Raises
    ------
    DataError
        Nothing of the series can be read.
    """
    if series.kind != "picture":
        volume, found = read_volume(series, settings)
        numbered = len(set(volume.files)) < len(volume.files)
        names = [f"{name}#{index}" if numbered else name for index, name in enumerate(volume.files)]
        return list(volume.array), names, [f"{fault.path}: {fault.reason}" for fault in found]
    images: list[NDArray[np.float32]] = []
    names = []
    faults: list[str] = []
    for position, (path, pages) in enumerate(zip(series.files, read_images(series.files, settings), strict=True)):
        if isinstance(pages, DataError):
            faults.append(f"{series.study_id}/{series.sequence}/{path.name}: {pages}")
            continue
        images += pages
        names += [str(position)] * len(pages)
    if not images:
        raise DataError(faults[0])
    return images, names, faults


def digest_image(image: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return (2,): 128 bits of an image's shape and pixels."""
    content = hashlib.blake2b(f"{image.shape}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(image).tobytes())
    return np.frombuffer(content.digest(), dtype=np.uint64)


def share_of_tissue(image: NDArray[np.float32]) -> float:
    """Return the share of an image's pixels that show something, 0..1."""
    low = image.min()
    return float((image > low + TISSUE * (np.percentile(image, 99.5) - low)).mean())


def entry_of(series: Series, settings: Settings, folder: str, version: int) -> Path:
    """Return the cache's file of what was read of a series: named by path, size and modification time of every file."""
    described = [f"{version}", series.kind]
    for path in series.files:
        try:
            status = path.stat()
            described.append(f"{path.absolute()}|{status.st_size}|{status.st_mtime_ns}")
        except OSError:
            described.append(f"{path.absolute()}|gone")
    return settings.cache / folder / f"{hashlib.sha256(chr(10).join(described).encode()).hexdigest()[:32]}.npz"


def _scan_all(
    missing: Sequence[int], series: Sequence[Series], settings: Settings, jobs: int
) -> Iterator[tuple[int, Path | str]]:
    tasks = [(number, series[number], settings) for number in missing]
    yield from run_tasks(_scan, tasks, jobs=1 if len(missing) <= INLINE else jobs, ordered=False)


def _scan(number: int, series: Series, settings: Settings) -> tuple[int, Path | str]:
    """Read one series and write its entry, which another process opens."""
    entry = _entry(series, settings)
    try:
        content = _describe(series, settings)
    except DataError as error:
        return number, str(error)
    with replace_atomically(entry, durable=False) as beside, beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **content)
    return number, entry


def _describe(series: Series, settings: Settings) -> dict[str, Any]:
    slices, names, faults = read_slices(series, settings)
    stacked = series.kind != "picture"
    blank = (
        find_blank_slices(Voxels(np.stack(slices))) if stacked else np.array([bool(np.ptp(one) == 0) for one in slices])
    )
    thumbnails = np.stack([make_thumbnail(one) for one in slices])
    return {
        "names": np.array(names),
        "digests": np.stack([digest_image(one) for one in slices]),
        "hashes": hash_thumbnails(thumbnails),
        "blank": blank,
        "tissue": np.array([share_of_tissue(one) for one in slices], dtype=np.float32),
        "levels": np.array(_levels([one for one, empty in zip(slices, blank, strict=True) if not empty])),
        "thumbnails": thumbnails,
        "faults": np.array(json.dumps(faults)),
    }


def _levels(slices: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    """Median and 99th percentile of what lies above the background."""
    if not slices:
        return float("nan"), float("nan")
    values = np.concatenate([one.ravel() for one in slices])
    above = values[values > values.min()]
    if not above.size:
        return float("nan"), float("nan")
    median, high = np.percentile(above - values.min(), (50, 99))
    return float(median), float(high)


def _entry(series: Series, settings: Settings) -> Path:
    return entry_of(series, settings, "audit", VERSION)


def _read_entry(entry: Path, series: Series, root: Path) -> SeriesPixels | None:
    """Open an entry; None where there is none or it is damaged."""
    try:
        with np.load(entry, allow_pickle=False) as content:
            median, high = content["levels"].tolist()
            return SeriesPixels(
                files=_place(content["names"].tolist(), series, root),
                digests=content["digests"],
                hashes=content["hashes"],
                blank=content["blank"],
                tissue=content["tissue"],
                levels=(median, high),
                faults=tuple(parse_document(str(content["faults"]))),
                entry=entry,
            )
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _place(names: Sequence[str], series: Series, root: Path) -> tuple[str, ...]:
    """Name slices by their files' places below the cohort's folder."""
    if series.kind == "picture":
        return tuple(relative_to(series.files[int(name)], root) for name in names)
    paths = {path.name: relative_to(path, root) for path in series.files}
    return tuple(paths[name] if name in paths else _place_frame(name, paths) for name in names)


def _place_frame(name: str, paths: dict[str, str]) -> str:
    file, _, index = name.rpartition("#")
    return f"{paths[file]}#{index}"
