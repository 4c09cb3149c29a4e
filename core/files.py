"""Stored documents: written atomically, so that a reader never sees half a file, and read in one way, with one error."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic_core import from_json

from core.errors import DocumentError, StorageError

DOCUMENT_BYTES = 32 * 1024 * 1024
"""The largest document that is read; the split of a large cohort by slice has a few megabytes."""
LONG_NUMBER = re.compile(r"[0-9]{310}")
"""No float holds it."""

_REASONS = {
    errno.ENOSPC: "no space is left on the disk; free some, then try again",
    errno.EFBIG: "a limit on the size of a file is reached (ulimit -f shows it); raise it, then try again",
    errno.EDQUOT: "the disk quota is used up; free some space, then try again",
    errno.EIO: "the disk reports an input/output error; see that it is sound and connected, then try again",
    errno.EROFS: "the file system is read-only; set MGMT_LAB_HOME to a folder that can be written",
    errno.EACCES: "permission is denied; set MGMT_LAB_HOME to a folder that can be written",
    errno.EPERM: "permission is denied; set MGMT_LAB_HOME to a folder that can be written",
}

_REMEDIES = {
    errno.EEXIST: "where a folder should be there is a file; name another place",
    errno.ENOTDIR: "where a folder should be there is a file; name another place",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENAMETOOLONG: "the name is too long; name a shorter one",
    errno.ENOENT: "it is not there, or its folder takes no files; check the name",
    errno.EACCES: "permission is denied; name another place, or ask for the permission",
}
"""Of a place that a person named."""
_BESIDE = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")
"""What :func:`_name_beside` names."""


def load_table(module: str) -> dict[str, Any]:
    """Return the tables that stand beside a module, in the JSON document of its name; pass it ``__file__``."""
    return dict(json.loads(Path(module).with_suffix(".json").read_text(encoding="utf-8")))


def read_document(path: Path) -> Any:
    """Return what a stored JSON document holds; an OSError where there is none.

    Raises
    ------
    DocumentError
        It is damaged or too large (:func:`parse_document`).
    """
    if path.stat().st_size > DOCUMENT_BYTES:
        raise DocumentError(f"{path} has more than {DOCUMENT_BYTES // 2**20} MB, which no document of ours has.")
    return parse_document(path.read_bytes(), path)


def parse_document(content: str | bytes, name: object = "It") -> Any:
    """Return what JSON text holds that anyone may have written: the one reader of stored and foreign documents.

    Raises
    ------
    DocumentError
        It is not JSON, is nested more than 200 deep, or holds half a character or a number that no float holds; `name` names it.
    """
    try:
        text = content.decode(json.detect_encoding(content)) if isinstance(content, bytes) else content
        if LONG_NUMBER.search(text):
            raise ValueError("a number in it has more than 309 digits")
        return from_json(text)
    except (ValueError, TypeError) as error:
        raise DocumentError(
            f"{name} is damaged, or no JSON: {error}; restore it, or delete it if it may lack."
        ) from error


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full or failing disk, a used-up quota or a folder that cannot be written into a StorageError naming `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _REASONS:
            raise StorageError(f"{path} cannot be written: {_REASONS[error.errno]}.") from error
        raise


def check_writable(path: Path) -> None:
    """Raise as :func:`write_atomic` would, before work is done for a file; nothing is left, no folder either."""
    beside = _name_beside(path)
    with storage_errors(path):
        made = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
            beside.touch()
            beside.unlink()
        finally:
            for folder in made:
                folder.rmdir()


@contextmanager
def replace_atomically(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the place of `path` when the block ends well.

    With `durable` the content is on the disk before the name is changed, so that a power cut leaves the old file
    or the new one; without, writing is faster and only a crash of the process is survived. Missing folders are
    made. When the block raises, `path` is as it was and nothing is left beside it.

    Raises
    ------
    StorageError
        The disk is full or the folder cannot be written.
    """
    beside = _name_beside(path)
    with storage_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            if durable:
                with beside.open("rb") as stream:
                    os.fsync(stream.fileno())
            beside.replace(path)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write a whole file at once: a reader sees the old content or the new, never a part.

    See :func:`replace_atomically` for `durable`.

    Raises
    ------
    StorageError
        The disk is full or the folder cannot be written.
    """
    with replace_atomically(path, durable=durable) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    Raises
    ------
    StorageError
        The disk fails or the folder cannot be written.
    """
    with storage_errors(path):
        path.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Append one line in a single write, so that lines of several processes do not mix, and flush it to the disk.

    Raises
    ------
    StorageError
        The disk is full or the folder cannot be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            content = (line.rstrip("\n") + "\n").encode()
            if os.write(descriptor, content) < len(content):  # as the last bytes of a disk are filled
                raise OSError(errno.ENOSPC, "a part of the line was written", str(path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def inert_cell(value: object) -> object:
    """Return a cell of a table that a spreadsheet does not take for a formula: text that begins like one gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def describe_os_error(error: OSError) -> str:
    """Return in one line what the system refuses and what to do; its own words where nothing better is known."""
    why = _REMEDIES.get(error.errno or 0)
    if why is None or not isinstance(error.filename, str):
        return " ".join(str(error).split())
    path = Path(error.filename)
    beside = _BESIDE.fullmatch(path.name)
    return f"{path.with_name(beside[1]) if beside else path}: {why}."


def _name_beside(path: Path) -> Path:
    """Return where a file is written until it is whole."""
    return path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
