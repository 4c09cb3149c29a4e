"""Prepared series on disk, one folder each, memory-mapped, written atomically."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.prepare import PictureFrame, PreparedSeries, prepare_series
from core.data.study import Fault, Series
from core.errors import DataError
from core.files import replace_atomically, write_atomic
from core.settings import Settings

__all__ = ["FORMAT_VERSION", "load_prepared", "open_prepared"]

FORMAT_VERSION = 1
"""Part of every key: raise it whenever the same scan and the same PrepConfig would give other pixels."""


def load_prepared(series: Series, prep: PrepConfig, settings: Settings) -> PreparedSeries:
    """Return the prepared series, from the cache where it is there and its source files are unchanged.

    An entry is found by path, size and modification time of every source file, and by the preparation. A
    damaged entry is made anew. Two processes may prepare the same series at once: they write the same bytes.

    Raises
    ------
    DataError
        A source file is gone, or the series cannot be prepared.
    StorageError
        The cache cannot be written.
    """
    entry = _entry(series, prep, settings)
    return _read(entry) or _write(entry, prepare_series(series, prep, settings))


def open_prepared(series: Series, prep: PrepConfig, settings: Settings) -> PreparedSeries | None:
    """Return the prepared series if the cache holds it, without preparing anything.

    Raises
    ------
    DataError
        A source file is gone.
    """
    return _read(_entry(series, prep, settings))


def _entry(series: Series, prep: PrepConfig, settings: Settings) -> Path:
    """Folder of the entry: the whole path is part of it, for unpacked archives repeat names, sizes and times."""
    described = [f"{FORMAT_VERSION}", series.kind, prep.model_dump_json(exclude={"sequences"})]
    for path in series.files:
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(
                f"{path} of study {series.study_id} cannot be read any more ({error.strerror}); index the folder again."
            ) from error
        described.append(f"{path.absolute()}|{status.st_size}|{status.st_mtime_ns}")
    return settings.cache / "prepared" / hashlib.sha256("\n".join(described).encode()).hexdigest()[:32]


def _read(entry: Path) -> PreparedSeries | None:
    """Open an entry; None where there is none or it is damaged."""
    try:
        meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        pixels = np.load(entry / "pixels.npy", mmap_mode="r", allow_pickle=False)
        return _build(pixels, meta)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _build(pixels: NDArray[np.uint8], meta: dict[str, Any]) -> PreparedSeries:
    if pixels.dtype != np.uint8 or list(pixels.shape) != meta["shape"] or len(meta["slice_index"]) != len(pixels):
        raise ValueError("pixels and description disagree")
    frames = tuple(PictureFrame(**{**frame, "source_shape": tuple(frame["source_shape"])}) for frame in meta["frames"])
    return PreparedSeries(
        pixels=pixels,
        slice_index=np.array(meta["slice_index"], np.int32),
        position_mm=np.array([np.nan if value is None else value for value in meta["position_mm"]], np.float64),
        files=tuple(meta["files"]),
        frames=tuple(frames[number] for number in meta["frame_of"]),
        slice_total=int(meta["slice_total"]),
        blank_count=int(meta["blank_count"]),
        faults=tuple(Fault(**fault) for fault in meta["faults"]),
    )


def _write(entry: Path, prepared: PreparedSeries) -> PreparedSeries:
    frames = list(dict.fromkeys(prepared.frames))
    meta = {
        "shape": list(prepared.pixels.shape),
        "slice_index": prepared.slice_index.tolist(),
        "position_mm": [None if np.isnan(value) else value for value in prepared.position_mm.tolist()],
        "files": list(prepared.files),
        "frames": [asdict(frame) for frame in frames],
        "frame_of": [frames.index(frame) for frame in prepared.frames],
        "slice_total": prepared.slice_total,
        "blank_count": prepared.blank_count,
        "faults": [asdict(fault) for fault in prepared.faults],
    }
    # Each file appears whole, the description last: an entry without one is not there yet.
    with replace_atomically(entry / "pixels.npy") as beside, beside.open("wb") as file:
        np.save(file, prepared.pixels, allow_pickle=False)
    write_atomic(entry / "meta.json", json.dumps(meta))
    return _read(entry) or prepared
