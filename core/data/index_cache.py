"""What a folder's headers said, as it is kept for the next time, and the state of the folder it holds for.

An entry is believed only while the names, sizes and modification times of all files below its folder are those
it was made from (:mod:`core.data.stamped`). A study's takes about 10 kB.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.data.discovery import IGNORED_NAMES
from core.data.file_names import FileNames
from core.data.stamped import digest_of
from core.data.study import Fault, Series, SeriesScan
from core.mri import MRSequence, Plane
from core.settings import Settings

__all__ = ["FORMAT_VERSION", "FolderStamp", "decode_scan", "encode_scan", "index_key", "stamp_folder"]

FORMAT_VERSION = 2
"""Part of every key: raise it whenever the same files would be described otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStamp:
    """The state of a folder, without opening a file."""

    digest: str
    """Hash of the relative path, size and modification time of every file below the folder."""
    file_count: int
    empty_folders: tuple[Path, ...]
    """Folders directly in it that hold no file."""


def stamp_folder(folder: Path) -> FolderStamp:
    """Look at the files below a folder, the same that :func:`core.data.discovery.walk_files` finds."""
    start = folder.resolve()
    lines: list[str] = []
    children: list[tuple[str, int]] = []
    _stamp(str(folder), "", frozenset(map(str, (start, *start.parents))), lines, children)
    return FolderStamp(
        digest=digest_of(sorted(lines)),
        file_count=len(lines),
        empty_folders=tuple(folder / name for name, count in sorted(children) if not count),
    )


def _stamp(
    folder: str, prefix: str, parents: frozenset[str], lines: list[str], children: list[tuple[str, int]]
) -> None:
    """Add a line for each file; of the start folder's own folders, how many files each holds, too."""
    below: list[os.DirEntry[str]] = []
    add = lines.append
    try:
        with _opened(folder) as place, os.scandir(place) as found:
            for entry in found:
                name = entry.name
                if name[0] == "." or name.lower() in IGNORED_NAMES:
                    continue
                if entry.is_dir():
                    below.append(entry)
                elif entry.is_file():
                    try:
                        status = entry.stat()
                    except OSError:  # gone since it was listed
                        continue
                    add(f"{prefix}{name}|{status.st_size}|{status.st_mtime_ns}")
    except OSError:
        return
    for entry in below:
        before = len(lines)
        path = f"{folder}/{entry.name}"
        target = os.path.realpath(path)
        if target not in parents:
            _stamp(path, f"{prefix}{entry.name}/", parents | {target}, lines, children)
        if not prefix and not entry.is_symlink():
            children.append((entry.name, len(lines) - before))


@contextmanager
def _opened(folder: str) -> Iterator[str | int]:
    """Open a folder where the system lists an open one: its files are then looked up by name, not by whole path."""
    if os.scandir not in os.supports_fd:
        yield folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def index_key(settings: Settings, *parts: object) -> tuple[object, ...]:
    """Name an entry of the index: what besides the files decides what is found in them belongs to it."""
    return (FORMAT_VERSION, settings.file_pixels, settings.header_bytes, *parts)


def encode_scan(scan: SeriesScan, folder: Path) -> dict[str, Any]:
    """Write what a folder holds as a JSON document, file names relative to the folder."""
    document = asdict(replace(scan, series=tuple(replace(series, files=()) for series in scan.series)))
    for entry, series in zip(document["series"], scan.series, strict=True):
        parents = {path.parent for path in series.files}
        parent = next(iter(parents)) if len(parents) == 1 else folder
        entry["files"] = [str(parent.relative_to(folder)), [str(path.relative_to(parent)) for path in series.files]]
    return document


def decode_scan(document: Any, folder: Path) -> SeriesScan | None:
    """Read such a document; None where it is damaged."""
    try:
        return SeriesScan(
            series=tuple(_decode_series(entry, folder) for entry in document["series"]),
            faults=tuple(Fault(**fault) for fault in document["faults"]),
            synthetic=document["synthetic"],
            notes=tuple(document["notes"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _decode_series(entry: dict[str, Any], folder: Path) -> Series:
    parent, names = entry["files"]
    spacing = entry["spacing_mm"]
    parts = {
        "sequence": MRSequence(entry["sequence"]),
        "plane": Plane(entry["plane"]),
        "spacing_mm": None if spacing is None else tuple(spacing),
        "identifying": tuple(entry["identifying"]),
        "files": FileNames(folder / parent, tuple(names)),
    }
    return Series(**{**entry, **parts})
