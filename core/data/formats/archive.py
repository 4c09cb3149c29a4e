"""Unpacking an untrusted zip or tar within bounds."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from pathlib import Path

from core.data.formats.discovery import detect_archive
from core.data.formats.tarball import unpack_tar
from core.data.formats.untrusted_files import Budget, is_litter, remove_on_error, safe_path, write_file
from core.errors import ArchiveError, LimitError
from core.settings import Settings

ENTRY_BYTES = 1024
"""Bytes of a zip's directory per file that are accepted; an ordinary entry takes about a hundred."""
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Compression methods that are inflated piece by piece; bzip2 and LZMA allocate what they like first."""
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
    OSError,
    LookupError,
    MemoryError,
)


def unpack(archive: Path, folder: Path, settings: Settings, budget: Budget | None = None) -> list[Path]:
    """Unpack a zip, .tar or .tar.gz below a folder; which it is, its content says.

    Archives inside it are written as they are, and are not unpacked in turn.

    Parameters
    ----------
    archive
        The file.
    folder
        Where to; it is created.
    settings
        The limits on bytes (counted while inflating, whatever the archive declares) and files.
    budget
        What an upload of several archives has left.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ArchiveError
        Damaged, encrypted, compressed with another method than deflate, neither zip nor tar, or with names or links that
        lead out of the folder. Nothing of an archive that is refused is kept.
    LimitError
        Too many files or bytes.
    StorageError
        The disk is full.
    """
    budget = budget or Budget(settings)
    if detect_archive(archive) == "tar":
        return unpack_tar(archive, folder, settings, budget)
    written: list[Path] = []
    try:
        check_directory(archive, settings)
        with remove_on_error(written), zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir() and not is_litter(entry.filename)]
            for entry in entries:
                check_entry(entry, archive.name)
            if sum(entry.compress_size for entry in entries) > archive.stat().st_size:
                raise ArchiveError(f"{archive.name} is damaged: its entries overlap; zip the study again.")
            budget.check_bytes(sum(entry.file_size for entry in entries))
            for entry in entries:
                target = safe_path(folder, entry.filename)
                with opened.open(entry) as source:
                    write_file(target, source, budget)
                written.append(target)
    except ZIP_ERRORS as error:
        raise ArchiveError(f"{archive.name} is damaged or not a zip: {error}.") from error
    return written


def check_entry(entry: zipfile.ZipInfo, name: str) -> None:
    """Refuse an entry of the zip `name` that is encrypted, a link, leads outside, or inflates without bound: ArchiveError."""
    if entry.flag_bits & 0x1:
        raise ArchiveError(f"{name} is encrypted; unpack it and hand in its files.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ArchiveError(f"{name} holds the link {entry.filename[:80]!r}; links are refused.")
    if entry.compress_type not in METHODS:
        method = zipfile.compressor_names.get(entry.compress_type, f"method {entry.compress_type}")  # type: ignore[attr-defined]
        raise ArchiveError(
            f"{name} is compressed with {method}; only plain (deflated) zips are read: zip the study again, "
            "without a choice of method."
        )
    safe_path(Path(), entry.filename)


def check_directory(archive: Path, settings: Settings) -> None:
    """Refuse a zip whose directory is out of proportion, before it is read into memory.

    Raises
    ------
    ArchiveError
        It has no directory: it is damaged, or no zip.
    LimitError
        The directory lists more files than are accepted.
    """
    size = archive.stat().st_size
    with archive.open("rb") as file:
        file.seek(max(0, size - 66_000))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise ArchiveError(f"{archive.name} is damaged or not a zip; zip the study again.")
    directory = struct.unpack("<I", tail[at + 12 : at + 16])[0]
    if tail[max(0, at - 20) : at - 16] == b"PK\x06\x07" and at >= 76:
        # ZIP64: the true size stands in the record before the locator (APPNOTE 4.3.14)
        directory = struct.unpack("<Q", tail[at - 36 : at - 28])[0]
    if directory > settings.upload_files * ENTRY_BYTES:
        raise LimitError(f"{archive.name} lists more than {settings.upload_files:,} files, the limit here.")
