"""What a file and its raw grey values give away before any anatomy: padding, compression, intensity."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from core.data.formats.dicom import PARSER_ERRORS
from core.data.formats.images import read_image
from core.data.study import Series
from core.data.volume import read_volume
from core.errors import DataError
from core.settings import Settings

INTENSITY = "intensity"
"""Words of what the disease itself may change, too: shown, and not counted as metadata."""


def read_traces(series: Series, settings: Settings) -> dict[str, float | str]:
    """Return what the middle file of a series shows: margins of one value, bytes for each pixel, spread of its values.

    Numbers, and the transfer syntax as a digest. What cannot be read is left out: the audit names it.
    """
    path = series.files[len(series.files) // 2]
    found: dict[str, float | str] = {}
    try:
        if series.kind == "picture":
            pixels = read_image(path, settings)
        else:
            one = replace(series, files=(path,)) if series.kind == "dicom" else series
            voxels = read_volume(one, settings)[0].voxels.array
            pixels = voxels[len(voxels) // 2]
            found["compression bytes per pixel"] = path.stat().st_size / voxels.size
    except (DataError, OSError):
        return found
    if series.kind == "picture":
        found["compression bytes per pixel"] = path.stat().st_size / pixels.size
    if series.kind == "dicom":
        found |= _read_syntax(path)
    for side, edge in (("top", pixels), ("bottom", pixels[::-1]), ("left", pixels.T), ("right", pixels.T[::-1])):
        found[f"padding {side}"] = float(_count_plain(edge))
    bright = pixels[pixels > pixels.min()]
    found[f"{INTENSITY} largest"] = float(pixels.max())
    found[f"{INTENSITY} mean"] = float(bright.mean()) if bright.size else 0.0
    found[f"{INTENSITY} values"] = float(len(np.unique(pixels)))
    return found


def _read_syntax(path: object) -> dict[str, float | str]:
    try:
        meta = dcmread(str(path), stop_before_pixels=True, specific_tags=[]).file_meta
    except PARSER_ERRORS:
        return {}
    syntax = str(meta.get("TransferSyntaxUID", ""))
    return {"compression syntax": hashlib.blake2b(syntax.encode(), digest_size=6).hexdigest()}


def _count_plain(lines: NDArray[np.float32]) -> int:
    """How many lines from the first on hold one value, the same in all."""
    differs = (lines != lines.flat[0]).any(axis=1)
    return int(differs.argmax()) if differs.any() else len(lines)
