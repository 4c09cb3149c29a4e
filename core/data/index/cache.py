"""What a folder's headers said, as it is kept for the next time.

An entry is believed only while the names, sizes and modification times of all files below its folder are those
it was made from (:mod:`core.data.index.folder_stamp`). A study's takes about 10 kB.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core.data.names.file_names import FileNames
from core.data.study import ExaminationScan, Fault, FolderScan, Series
from core.mri import MRSequence, Plane
from core.settings import Settings

FORMAT_VERSION = 9
"""Part of every key: raise it whenever the same files would be described otherwise."""


def index_key(settings: Settings, *parts: object) -> tuple[object, ...]:
    """Name an entry of the index: what besides the files decides what is found in them belongs to it."""
    return (FORMAT_VERSION, settings.file_pixels, settings.header_bytes, *parts)


def encode_scan(scan: FolderScan, folder: Path) -> dict[str, Any]:
    """Write what a folder holds as a JSON document, file names relative to the folder."""
    bare = [replace(one, series=tuple(replace(series, files=()) for series in one.series)) for one in scan.examinations]
    document = asdict(replace(scan, examinations=tuple(bare)))
    written = [entry for examination in document["examinations"] for entry in examination["series"]]
    held = [series for examination in scan.examinations for series in examination.series]
    for entry, series in zip(written, held, strict=True):
        parents = {path.parent for path in series.files}
        parent = next(iter(parents)) if len(parents) == 1 else folder
        names = FileNames.BETWEEN.join(str(path.relative_to(parent)) for path in series.files)
        entry["files"] = [str(parent.relative_to(folder)), names]
    return document


def decode_scan(document: Any, folder: Path) -> FolderScan | None:
    """Read such a document; None where it is damaged."""
    try:
        return FolderScan(
            examinations=tuple(_decode_examination(entry, folder) for entry in document["examinations"]),
            faults=tuple(Fault(**fault) for fault in document["faults"]),
            refused=tuple(Fault(**fault) for fault in document["refused"]),
            synthetic=document["synthetic"],
            notes=tuple(document["notes"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _decode_examination(entry: dict[str, Any], folder: Path) -> ExaminationScan:
    series = tuple(_decode_series(one, folder) for one in entry["series"])
    return ExaminationScan(**{**entry, "series": series, "place": tuple(entry["place"])})


def _decode_series(entry: dict[str, Any], folder: Path) -> Series:
    parent, names = entry["files"]  # as one text: hundreds of thousands of names cost the reader nothing then
    spacing = entry["spacing_mm"]
    parts = {
        "sequence": MRSequence(entry["sequence"]),
        "plane": Plane(entry["plane"]),
        "spacing_mm": None if spacing is None else tuple(spacing),
        "identifying": tuple(entry["identifying"]),
        "doubts": tuple(entry["doubts"]),
        "files": FileNames(folder / parent, names),
    }
    return Series(**{**entry, **parts})
