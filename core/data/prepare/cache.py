"""Prepared series on disk, one folder each, memory-mapped, written atomically."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.formats.series_reader import read_files
from core.data.index.folder_stamp import digest_of
from core.data.index.stamped import StampedCache
from core.data.prepare.examples import ImageFrame, PreparedSeries
from core.data.prepare.slices import prepare_source
from core.data.select import Source
from core.data.study import Fault, Series
from core.errors import DataError, may_pass
from core.files import read_document, replace_atomically, write_atomic
from core.settings import Settings

FORMAT_VERSION = 3
"""Part of every key: raise it whenever the same scan and the same PrepConfig would give other pixels."""
ON_OWN_GRID = {"sequences", "frames"}
"""Settings that mean nothing to a series in its own planes; on a common grid they say what may be laid over each other."""
HELD_BYTES = 2**29
"""A series whose files are not larger is read once, for its digest and its pixels; a larger one twice."""
ABANDONED_SECONDS = 3600.0
"""Age from which a half-written file counts as left by a killed process."""


def load_prepared(source: Series | Source, prep: PrepConfig, settings: Settings) -> PreparedSeries:
    """Return what was prepared of a source, from the cache where the same content was prepared in the same way.

    An entry belongs to what the source files hold, not to where they lie: a cohort that was moved finds its
    entries again, and a file that was changed does not. A damaged entry is made anew. Two processes may prepare
    the same series at once: they write the same bytes.

    Raises
    ------
    DataError
        A source file is gone, or the source cannot be prepared; FrameOfReferenceError where its series may not be
        laid over each other.
    StorageError
        The cache cannot be written.
    """
    source = _together(source)
    known = [_know_content(series, settings) for series in source]
    contents = [content for content, _ in known]
    entry = _entry(source, prep, settings, contents)
    found = _read(entry) or _write(entry, prepare_source(source, prep, settings, contents=known[0][1]))
    if settings.hosted:  # what was used last is evicted last
        with suppress(OSError):
            os.utime(entry)
    return replace(found, content=digest_of(contents))


def fill_cache(position: int, source: Source, prep: PrepConfig, settings: Settings) -> tuple[int, Fault | None]:
    """Prepare one of many sources in another process: the result stays in the cache, only a fault is returned.

    It stands in this module because a worker imports whatever its module imports.
    """
    try:
        load_prepared(source, prep, settings)
    except DataError as error:
        return position, Fault(path=f"{source[0].study_id}/{_join_sequences(source)}", reason=str(error))
    return position, None


def open_prepared(source: Series | Source, prep: PrepConfig, settings: Settings) -> PreparedSeries | None:
    """Return what was prepared of a source if the cache holds it, without opening a source file.

    None also for files whose content is not known yet: those that were moved since they were prepared, say.

    Raises
    ------
    DataError
        A source file is gone.
    """
    source = _together(source)
    contents = [_recall_content(series, settings, _stamp(series)) for series in source]
    known = [content for content in contents if content]
    found = _read(_entry(source, prep, settings, known)) if len(known) == len(source) else None
    return found and replace(found, content=digest_of(known))


def _entry(source: Source, prep: PrepConfig, settings: Settings, contents: Sequence[str]) -> Path:
    """Folder of the entry; the study and the sequences are part of it, for they stand in its faults."""
    described = (
        FORMAT_VERSION,
        source[0].study_id,
        _join_sequences(source),
        "+".join(series.kind for series in source),
        prep.model_dump_json(exclude=_meaningless_settings(source, prep)),
        *(f"slices along axis {series.slice_axis}" for series in source if series.slice_axis is not None),
    )
    return settings.cache / "prepared" / digest_of((*described, *contents))


def _meaningless_settings(source: Source, prep: PrepConfig) -> set[str]:
    """Name the settings that change nothing in what is prepared of a source."""
    of_grid = set() if prep.grid_mm else ON_OWN_GRID
    of_reader = {"reader_version"} if all(series.kind == "dicom" for series in source) else set()
    return {"series_selection", *of_grid, *of_reader}


def _together(source: Series | Source) -> Source:
    return (source,) if isinstance(source, Series) else source


def _join_sequences(source: Source) -> str:
    return "+".join(str(series.sequence) for series in source)


def _know_content(series: Series, settings: Settings) -> tuple[str, list[memoryview]]:
    """Return the digest of a series' files (their names and every byte in them) and the contents that were read for it.

    The digest is remembered by path, size and modification time, so unchanged files are not read again. The contents are
    empty then, and where they are larger than :data:`HELD_BYTES`.
    """
    stamp = _stamp(series)
    known = _recall_content(series, settings, stamp)
    if known:
        return known, []
    contents: list[memoryview] = []
    try:
        if series.kind == "dicom" and sum(path.stat().st_size for path in series.files) <= HELD_BYTES:
            contents = read_files(series.files)
            digests = [xxhash.xxh3_128_hexdigest(content) for content in contents]
        else:
            digests = [_digest_file(path) for path in series.files]
    except OSError as error:
        raise _gone(series, error) from error
    content = digest_of(f"{path.name}|{digest}" for path, digest in zip(series.files, digests, strict=True))
    _contents(settings).keep(_places(series), stamp, content)
    return content, contents


def _recall_content(series: Series, settings: Settings, stamp: str) -> str | None:
    known = _contents(settings).find(_places(series), stamp)
    return known if isinstance(known, str) else None


def prune_contents(settings: Settings) -> None:
    """Remove the oldest remembered digests where there are too many."""
    _contents(settings).prune()


def _contents(settings: Settings) -> StampedCache:
    return StampedCache(folder=settings.cache / "contents")


def _places(series: Series) -> list[str]:
    return [os.path.abspath(path) for path in series.files]  # noqa: PTH100 - a third of the time of Path.absolute


def _stamp(series: Series) -> str:
    """State of a series' files, without opening them."""
    try:
        states = [os.stat(path) for path in series.files]  # noqa: PTH116 - half the time of Path.stat
    except OSError as error:
        raise _gone(series, error) from error
    return digest_of(f"{state.st_size}|{state.st_mtime_ns}" for state in states)


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()


def _gone(series: Series, error: OSError) -> DataError:
    return DataError(
        f"{error.filename} of study {series.study_id} cannot be read any more ({error.strerror}); index the folder again."
    )


def _read(entry: Path) -> PreparedSeries | None:
    """Open an entry; None where there is none, it is damaged, or something in it failed for the moment only."""
    try:
        meta = read_document(entry / "meta.json")
        if any(may_pass(fault["reason"]) for fault in meta["faults"]):
            return None
        pixels = np.load(entry / "pixels.npy", mmap_mode="r", allow_pickle=False)
        return _build(pixels, meta)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _build(pixels: NDArray[np.uint8], meta: dict[str, Any]) -> PreparedSeries:
    if pixels.dtype != np.uint8 or list(pixels.shape) != meta["shape"] or len(meta["slice_index"]) != len(pixels):
        raise ValueError("pixels and description disagree")
    frames = tuple(ImageFrame(**{**frame, "source_shape": tuple(frame["source_shape"])}) for frame in meta["frames"])
    return PreparedSeries(
        pixels=pixels,
        slice_index=np.array(meta["slice_index"], np.int32),
        position_mm=_numbers(meta["position_mm"]),
        files=tuple(meta["files"]),
        frames=tuple(frames[number] for number in meta["frame_of"]),
        slice_total=int(meta["slice_total"]),
        blank_count=int(meta["blank_count"]),
        faults=tuple(Fault(**fault) for fault in meta["faults"]),
        sequences=tuple(meta["sequences"]),
        layers=None if meta["layers"] is None else np.array(meta["layers"], np.int32),
        layers_mm=None if meta["layers_mm"] is None else _numbers(meta["layers_mm"]),
    )


def _write(entry: Path, prepared: PreparedSeries) -> PreparedSeries:
    frames = list(dict.fromkeys(prepared.frames))
    meta = {
        "shape": list(prepared.pixels.shape),
        "slice_index": prepared.slice_index.tolist(),
        "position_mm": _plain(prepared.position_mm),
        "files": list(prepared.files),
        "frames": [asdict(frame) for frame in frames],
        "frame_of": [frames.index(frame) for frame in prepared.frames],
        "slice_total": prepared.slice_total,
        "blank_count": prepared.blank_count,
        "faults": [asdict(fault) for fault in prepared.faults],
        "sequences": list(prepared.sequences),
        "layers": None if prepared.layers is None else prepared.layers.tolist(),
        "layers_mm": None if prepared.layers_mm is None else [_plain(row) for row in prepared.layers_mm],
    }
    _sweep(entry)
    # Each file appears whole, the description last: an entry without one is not there yet. It need not outlive a power
    # cut as the pixels must, which would be believed: to be without it costs the making anew.
    with replace_atomically(entry / "pixels.npy") as beside, beside.open("wb") as file:
        np.save(file, prepared.pixels, allow_pickle=False)
    write_atomic(entry / "meta.json", json.dumps(meta), durable=False)
    return _read(entry) or prepared


def _plain(numbers: NDArray[np.float64]) -> list[float | None]:
    """JSON has no NaN."""
    return [None if np.isnan(value) else value for value in numbers.tolist()]


def _numbers(values: list[Any]) -> NDArray[np.float64]:
    return np.array(values, object).astype(np.float64)  # None becomes NaN


def _sweep(entry: Path) -> None:
    """Remove what a killed process left half-written, but not what another is writing at this moment."""
    with suppress(OSError):
        for path in entry.glob(".*.part"):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
