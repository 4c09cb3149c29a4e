"""Finding files and telling what they are by their content, whatever their names say."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

FileKind = Literal["dicom", "picture", "nifti", "archive", "packed"]
"""*packed* is a scan inside a compressed file that is not read."""

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
TAR_SUFFIXES = (".tar", ".tgz", ".tar.gz")
ARCHIVE_SUFFIXES = (".zip", *TAR_SUFFIXES, ".rar", ".7z")
GZIP_START = b"\x1f\x8b"
ZIP_START = b"PK\x03\x04"
ZIP_NAME = 30
"""Where the name of a zip's first member stands (APPNOTE 4.3.7)."""
SCAN_SUFFIXES = frozenset({*DICOM_SUFFIXES, *IMAGE_SUFFIXES, ".nii", ".tar"})
PACKED_SUFFIXES = (".bz2", ".xz", ".zst", ".lzma", ".lz4")
"""Of compressed files that are not read, whatever they hold."""
TAR_MAGIC = slice(257, 262)
DOCUMENT_SUFFIXES = frozenset(
    (".xlsx", ".xlsm", ".docx", ".pptx", ".odt", ".ods", ".odp", ".trx", ".npz", ".jar", ".epub", ".kmz", ".3mf")
)
"""Documents that are zips inside, and no archives of scans."""
DOCUMENT_MEMBERS = re.compile(
    rb"\[Content_Types\]|_rels/|docProps/|(?:xl|word|ppt|META-INF)/|mimetype|header\.json|[^/]*\.npy"
)
"""How the first member of such a zip is named."""
DICOMDIR = "dicomdir"
IGNORED_NAMES = frozenset(
    {
        "__macosx",
        "thumbs.db",
        "desktop.ini",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "@eadir",
        DICOMDIR,
    }
)
THUMBNAIL = re.compile(r"(?:^|[ _.-])(?:thumb|thumbnail|preview)s?(?:[ _.-]|$)", re.IGNORECASE)
"""In the name of a small copy of another picture."""


def detect_kind(path: Path) -> FileKind | None:
    """Tell what a file is from its first bytes; None is nothing that could be a scan.

    A name decides only where the content cannot: a damaged file with a scan's suffix is still taken for one,
    so that it is reported rather than passed over.
    """
    start, packed = _read_start(path)
    name = path.name.lower()
    suffix = path.suffix.lower()
    if start[344:347] in (b"n+1", b"ni1") or start[4:7] == b"n+2":
        return "nifti"
    if start.startswith(ZIP_START) and (suffix in DOCUMENT_SUFFIXES or DOCUMENT_MEMBERS.match(start[ZIP_NAME:])):
        return None
    if start.startswith(ZIP_START) or start[TAR_MAGIC] == b"ustar" or name.endswith(ARCHIVE_SUFFIXES):
        return "archive"
    picture = start.startswith(IMAGE_STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
    small = THUMBNAIL.search(path.stem) is not None
    prefixed = start[128:132] == b"DICM"
    if packed and (prefixed or picture or (looks_like_dicom(start) and not name.endswith(".nii.gz"))):
        return "packed"
    if suffix in PACKED_SUFFIXES and Path(name).with_suffix("").suffix in SCAN_SUFFIXES:
        return "packed"
    if prefixed:
        return "dicom"
    if picture:
        return None if small else "picture"
    if name.endswith((".nii", ".nii.gz")):
        return "nifti"
    if suffix in DICOM_SUFFIXES or looks_like_dicom(start):
        return "dicom"
    return "picture" if suffix in IMAGE_SUFFIXES and not small else None


def detect_archive(path: Path) -> Literal["zip", "tar"]:
    """Tell a tar, packed with gzip or not, from a zip by its content, and where that does not say, by its name."""
    start, _ = _read_start(path)
    if start.startswith(b"PK"):
        return "zip"
    return "tar" if start[TAR_MAGIC] == b"ustar" or path.name.lower().endswith(TAR_SUFFIXES) else "zip"


def _read_start(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes of a file, or of what a gzip holds, and whether it is one; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(352)
            if not start.startswith(GZIP_START):
                return start, False
            inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
            return inflater.decompress(start + file.read(4096), 352), True
    except (OSError, zlib.error):
        return b"", False


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, sorted by name, folder by folder.

    Hidden files, what operating systems leave behind (:data:`IGNORED_NAMES`) and DICOMDIR are passed
    over. Links are followed, except to a folder that contains them.
    """
    start = folder.resolve()
    yield from _walk(folder, frozenset({start, *start.parents}))


def is_left_behind(name: str) -> bool:
    """Whether a file or folder is hidden, or what an operating system leaves behind."""
    return name.startswith(".") or name.lower() in IGNORED_NAMES


def _walk(folder: Path, parents: frozenset[Path]) -> Iterator[Path]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: natural_key(entry.name))
    except OSError:
        return
    for entry in entries:
        if is_left_behind(entry.name):
            continue
        if entry.is_dir():
            child = folder / entry.name
            target = child.resolve()
            if target not in parents:
                yield from _walk(child, parents | {target})
        elif entry.is_file():
            yield folder / entry.name


def is_dicomdir(path: Path) -> bool:
    """Whether a file is a DICOMDIR; the standard prescribes its name (PS3.10 8.6)."""
    return path.name.lower() == DICOMDIR


def find_dicomdirs(folder: Path) -> list[Path]:
    """Return the DICOMDIR that lies directly in a folder, if any."""
    return [path for path in folder.iterdir() if is_dicomdir(path) and path.is_file()] if folder.is_dir() else []


def looks_like_dicom(start: bytes) -> bool:
    """Tell from the first 132 bytes of a file whether it can be DICOM, with or without the preamble."""
    if start[128:132] == b"DICM":
        return True
    # Without a preamble the file begins with the first element of group 0002 or 0008, in either byte order.
    little, big = struct.unpack("<HH", start[:4].ljust(4)), struct.unpack(">HH", start[:4].ljust(4))
    return any(group in (2, 8) and element < 0x1000 for group, element in (little, big))


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key in which Image-2 comes before Image-10."""
    return tuple(
        (0, int(part), part) if part.isdecimal() else (1, 0, part.lower()) for part in re.split(r"(\d+)", text) if part
    )


def relative_to(path: Path, root: Path) -> str:
    """Return a path as text, relative to `root` where it lies below it."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
