"""Writing untrusted uploads: no name leads out of the folder, and bytes and files are counted as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from core.errors import ArchiveError, LimitError
from core.files import storage_errors
from core.settings import Settings

CHUNK = 1024 * 1024
DEEPEST = 32
"""Folders below each other that a name may ask for."""
LONGEST_NAME = 150
ODD_CHARACTERS = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')


class Budget:
    """The bytes and files that may still be written; shared by all parts of one upload.

    Parameters
    ----------
    settings
        Its ``upload_bytes`` and ``upload_files``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bytes = 0
        self._files = 0

    def take_file(self) -> None:
        """Count one file; raises LimitError where there are too many."""
        self._files += 1
        if self._files > self._settings.upload_files:
            raise LimitError(
                f"The upload holds more than {self._settings.upload_files:,} files, the limit here; hand in one study."
            )

    def take_bytes(self, count: int) -> None:
        """Count bytes that are about to be written, or that pixels will inflate to; raises LimitError beyond the limit."""
        self.check_bytes(count)
        self._bytes += count

    def check_bytes(self, count: int) -> None:
        """Raise LimitError where so many more bytes would be too many; they are not counted."""
        if self._bytes + count > self._settings.upload_bytes:
            raise LimitError(
                f"The upload holds more than {self._settings.upload_bytes // 2**20:,} MB (unpacked), the limit here; "
                "hand in one study."
            )


@contextmanager
def remove_on_error(written: Sequence[Path]) -> Iterator[None]:
    """Remove the files written so far where the block ends with any error: nothing of a refused upload is kept."""
    try:
        yield
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def safe_path(folder: Path, name: str) -> Path:
    """Return where a relative name is to be written below a folder; nothing is written.

    Odd characters become underscores and long names are shortened. A name that is taken gets a number.

    Raises
    ------
    ArchiveError
        The name is empty or absolute, or climbs out.
    """
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if "\0" in name or plain.startswith("/") or re.match(r"[A-Za-z]:", plain) or ".." in parts:
        raise ArchiveError(f"The name {name[:80]!r} leads out of its folder; it is refused, and nothing of it is kept.")
    if not parts or len(parts) > DEEPEST:
        raise ArchiveError(f"The name {name[:80]!r} is empty or has more than {DEEPEST} folders.")
    target = folder.joinpath(*(_plain_part(part) for part in parts))
    number, stem, suffix = 1, target.stem, target.suffix
    while target.exists() or target.is_symlink():
        number += 1
        target = target.with_name(f"{stem}-{number}{suffix}")
    return target


def write_file(target: Path, source: IO[bytes], budget: Budget) -> None:
    """Write a stream to a new file, and count each chunk before it is written.

    Raises
    ------
    ArchiveError
        Its folder's name is that of a file.
    LimitError
        The budget is used up; the file begun is removed.
    StorageError
        The disk is full, or the file cannot be written.
    """
    budget.take_file()
    with storage_errors(target):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while chunk := source.read(CHUNK):
                    budget.take_bytes(len(chunk))
                    file.write(chunk)
        except (FileExistsError, NotADirectoryError) as error:
            raise ArchiveError(f"{target.name} stands for a file and for a folder at once; it is refused.") from error
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _plain_part(part: str) -> str:
    part = ODD_CHARACTERS.sub("_", part).rstrip(". ") or "_"
    if len(part.encode()) <= LONGEST_NAME:
        return part
    suffix = PurePosixPath(part).suffix[-10:]
    return part.encode()[: LONGEST_NAME - 10].decode(errors="ignore") + suffix


def is_litter(name: str) -> bool:
    """Whether an archive's member is what an operating system left behind."""
    parts = name.replace("\\", "/").split("/")
    return "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1] in (".DS_Store", "Thumbs.db")
