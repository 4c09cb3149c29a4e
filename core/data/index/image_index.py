"""Which files of a folder are images, and how large: read in parallel, and kept for the next time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.formats.discovery import detect_kind, walk_files
from core.data.index.cache import index_key
from core.data.index.folder_stamp import stamp_folders
from core.data.index.stamped import StampedCache
from core.data.study import ImageSize
from core.errors import DataError
from core.parallel import on_cluster, run_tasks
from core.progress import Progress
from core.settings import Settings

AT_ONCE = 250
"""Files that are handed to a process at a time."""
FILES_PER_PROCESS = 5000
"""Below so many files a further process costs more than it saves: an image's header is read in a tenth of a ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderImages:
    """What one folder holds, all the way down, in natural name order."""

    sizes: dict[Path, ImageSize]
    """Rows, columns and pages of each image, as stored."""
    faults: tuple[tuple[Path, str], ...]
    """Files that are no images, or damaged ones, and why."""


def list_images(
    folders: Sequence[Path], settings: Settings, cache: StampedCache | None, jobs: int, progress: Progress
) -> list[FolderImages]:
    """Find the images of some folders, those that did not change since the last time without opening a file.

    Parameters
    ----------
    folders
        Where to look; subfolders belong to them.
    settings
        The limit ``file_pixels``.
    cache
        Where the findings are kept; None keeps nothing.
    jobs
        Processes at most.
    progress
        Called once per file.

    Returns
    -------
    list of FolderImages
        One per folder, in their order.
    """
    stamps = stamp_folders(folders, jobs)
    keys = [index_key(settings, "pictures", folder.absolute()) for folder in folders]
    found = [
        _decode(cache.find(key, stamp.digest), folder) if cache else None
        for key, stamp, folder in zip(keys, stamps, folders, strict=True)
    ]
    missing = [number for number, one in enumerate(found) if one is None]
    total = sum(stamp.file_count for stamp in stamps)
    done = total - sum(stamps[number].file_count for number in missing)
    if done:
        progress(done, total, "from the cache")
    work = [
        (number, files[begin : begin + AT_ONCE])
        for number in missing
        for files in [list(walk_files(folders[number]))]
        for begin in range(0, len(files), AT_ONCE)
    ]
    described: dict[int, list[tuple[Path, ImageSize | str | None]]] = {number: [] for number in missing}
    processes = jobs if on_cluster() else min(jobs, 1 + (total - done) // FILES_PER_PROCESS)
    results = run_tasks(_read_sizes, [(files, settings) for _, files in work], jobs=processes)
    for (number, files), sizes in zip(work, results, strict=True):
        described[number] += zip(files, sizes, strict=True)
        for path in files:
            done += 1
            progress(done, max(done, total), path.name)
    for number, entries in described.items():
        found[number] = FolderImages(
            sizes={path: size for path, size in entries if isinstance(size, tuple)},
            faults=tuple((path, reason) for path, reason in entries if isinstance(reason, str)),
        )
        if cache:
            cache.keep(keys[number], stamps[number].digest, _encode(entries, folders[number]))
    return [one for one in found if one is not None]


def _read_sizes(paths: Sequence[Path], settings: Settings) -> list[ImageSize | str | None]:
    """Tell of each file its size, or what is wrong with it; None where it is nothing that could be a scan."""
    from core.data.formats.images import read_image_size  # loads Pillow and NumPy: not where nothing changed

    sizes: list[ImageSize | str | None] = []
    for path in paths:
        try:
            kind = detect_kind(path)
            if kind == "picture":
                sizes.append(read_image_size(path, settings))
            else:
                sizes.append(kind and f"{path.name} is not an image but {kind}; here only images are expected.")
        except DataError as error:
            sizes.append(str(error))
    return sizes


def _encode(entries: Sequence[tuple[Path, ImageSize | str | None]], folder: Path) -> dict[str, Any]:
    """Write what was found in a folder as a JSON document, file names relative to the folder."""
    named = [(str(path.relative_to(folder)), found) for path, found in entries]
    return {
        "sizes": [[name, *found] for name, found in named if isinstance(found, tuple)],
        "faults": [[name, found] for name, found in named if isinstance(found, str)],
    }


def _decode(document: Any, folder: Path) -> FolderImages | None:
    """Read such a document; None where there is none, or a damaged one."""
    try:
        return FolderImages(
            sizes={
                folder / name: (int(rows), int(columns), int(pages)) for name, rows, columns, pages in document["sizes"]
            },
            faults=tuple((folder / name, str(reason)) for name, reason in document["faults"]),
        )
    except (ValueError, TypeError, KeyError):
        return None
