"""What a folder's headers said, as it is kept for the next time, and the state of the folder it holds for.

An entry is believed only while the names, sizes and modification times of all files below its folder are those
it was made from (:mod:`core.data.stamped`). A study's takes about 10 kB.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.data.discovery import IGNORED_NAMES
from core.data.series import SeriesScan
from core.data.stamped import digest_of
from core.settings import Settings

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["FORMAT_VERSION", "FolderStamp", "decode_scan", "encode_scan", "index_key", "stamp_folder"]

FORMAT_VERSION = 1
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
    _stamp(str(folder), "", frozenset({start, *start.parents}), lines, children)
    return FolderStamp(
        digest=digest_of(sorted(lines)),
        file_count=len(lines),
        empty_folders=tuple(folder / name for name, count in sorted(children) if not count),
    )


def _stamp(
    folder: str, prefix: str, parents: frozenset[Path], lines: list[str], children: list[tuple[str, int]]
) -> None:
    """Add a line for each file; of the start folder's own folders, how many files each holds, too."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return
    for entry in entries:
        name = entry.name
        if name.startswith(".") or name.lower() in IGNORED_NAMES:
            continue
        if entry.is_dir():
            before = len(lines)
            target = Path(entry.path).resolve()
            if target not in parents:
                _stamp(entry.path, f"{prefix}{name}/", parents | {target}, lines, children)
            if not prefix and not entry.is_symlink():
                children.append((name, len(lines) - before))
        elif entry.is_file():
            with suppress(OSError):  # gone since it was listed
                status = entry.stat()
                lines.append(f"{prefix}{name}|{status.st_size}|{status.st_mtime_ns}")


def index_key(settings: Settings, *parts: object) -> tuple[object, ...]:
    """Name an entry of the index: what besides the files decides what is found in them belongs to it."""
    return (FORMAT_VERSION, settings.file_pixels, settings.header_bytes, *parts)


def encode_scan(scan: SeriesScan, folder: Path) -> dict[str, Any]:
    """Write what a folder holds as a JSON document, file names relative to the folder."""
    document: dict[str, Any] = _adapter().dump_python(
        replace(scan, series=tuple(replace(series, files=()) for series in scan.series)), mode="json"
    )
    for entry, series in zip(document["series"], scan.series, strict=True):
        parents = {path.parent for path in series.files}
        parent = next(iter(parents)) if len(parents) == 1 else folder
        entry["files"] = [str(parent.relative_to(folder)), [str(path.relative_to(parent)) for path in series.files]]
    return document


def decode_scan(document: Any, folder: Path) -> SeriesScan | None:
    """Read such a document; None where it is damaged."""
    try:
        files = [entry.pop("files") for entry in document["series"]]
        empty = {**document, "series": [{**entry, "files": ()} for entry in document["series"]]}
        scan = _adapter().validate_python(empty)
        series = []
        for one, (parent, names) in zip(scan.series, files, strict=True):
            place = folder / parent
            series.append(replace(one, files=tuple(place / name for name in names)))
        return replace(scan, series=tuple(series))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@cache
def _adapter() -> TypeAdapter[SeriesScan]:
    from pydantic import TypeAdapter

    return TypeAdapter(SeriesScan)
