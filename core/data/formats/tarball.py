"""Unpacking .tar and .tar.gz within the same bounds as a zip.

A tar has no directory: to list it is to read it. So it is read twice, first to check every member, then to write,
through a stream that counts what is inflated and refuses to be asked for much at once.
"""

from __future__ import annotations

import gzip
import struct
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from core.data.formats.untrusted_files import Budget, is_litter, remove_on_error, safe_path, write_file
from core.errors import ArchiveError, LimitError
from core.settings import Settings

LARGEST_READ = 8 * 1024 * 1024
"""Bytes that may be asked for at once: the records of a tar are 512, and file contents are read in chunks."""
HEADER_BYTES = 4096
"""Bytes that one member may take beside its content: its header, the long form of its name, padding."""
GZIP_START = b"\x1f\x8b"
TAR_ERRORS = (
    tarfile.TarError,
    OSError,
    EOFError,
    zlib.error,
    struct.error,
    ValueError,
    OverflowError,
    RecursionError,
    LookupError,
    TypeError,
    MemoryError,
)
"""What tarfile and gzip raise on damaged archives."""


class _BoundedStream:
    """A tar's bytes, inflated where need be, up to a limit; only what :mod:`tarfile` asks of a file.

    Parameters
    ----------
    source
        The file, or the gzip opened for reading.
    name
        The archive's name, for messages.
    limit
        Bytes that may be read or passed over.
    """

    def __init__(self, source: IO[bytes], name: str, limit: int) -> None:
        self._source = source
        self._name = name
        self._limit = limit

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        if not 0 <= size <= LARGEST_READ:
            raise ArchiveError(f"{self._name} is damaged: a header of {size:,} bytes; pack the study again.")
        self._check(self._source.tell() + size - LARGEST_READ)
        return self._source.read(size)

    def seek(self, position: int) -> int:
        """Go to a position; a gzip is inflated up to there."""
        self._check(position)
        return self._source.seek(position)

    def tell(self) -> int:
        """Return the position."""
        return self._source.tell()

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise LimitError(
                f"{self._name} holds more than {self._limit // 2**20:,} MB (unpacked), the limit here; hand in one study."
            )


def unpack_tar(archive: Path, folder: Path, settings: Settings, budget: Budget) -> list[Path]:
    """Unpack a .tar or .tar.gz below a folder; see :func:`core.data.formats.archive.unpack`.

    Raises
    ------
    ArchiveError
        Damaged, or with names, links or devices that lead out of the folder; nothing was written.
    LimitError
        Too many files or bytes.
    StorageError
        The disk is full.
    """
    written: list[Path] = []
    try:
        with _opened(archive, settings) as opened:
            for count, member in enumerate(opened):
                if count > settings.upload_files:
                    raise LimitError(f"{archive.name} lists more than {settings.upload_files:,} files, the limit here.")
                _check_member(member, archive)
        with remove_on_error(written), _opened(archive, settings) as opened:
            for member in opened:
                content = opened.extractfile(member) if member.isreg() and not is_litter(member.name) else None
                if content is not None:
                    target = safe_path(folder, member.name)
                    write_file(target, content, budget)
                    written.append(target)
    except TAR_ERRORS as error:
        raise ArchiveError(f"{archive.name} is damaged or not a tar: {error}.") from error
    if not written and archive.stat().st_size < tarfile.BLOCKSIZE:
        raise ArchiveError(f"{archive.name} is damaged or not a tar; pack the study again.")
    return written


@contextmanager
def _opened(archive: Path, settings: Settings) -> Iterator[tarfile.TarFile]:
    limit = settings.upload_bytes + settings.upload_files * HEADER_BYTES
    with archive.open("rb") as file:
        packed = file.read(2) == GZIP_START
        file.seek(0)
        with gzip.open(file) if packed else file as source:
            stream = _BoundedStream(cast("IO[bytes]", source), archive.name, limit)
            with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as opened:
                yield opened


def _check_member(member: tarfile.TarInfo, archive: Path) -> None:
    if member.isdir():
        return
    if member.issym() or member.islnk():
        raise ArchiveError(f"{archive.name} holds the link {member.name[:80]!r}; links are refused.")
    if not member.isreg() or member.issparse() or member.size < 0:
        raise ArchiveError(f"{archive.name} holds {member.name[:80]!r}, which is no plain file; it is refused.")
    safe_path(Path(), member.name)
