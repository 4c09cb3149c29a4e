"""The state of folders with hundreds of thousands of files, without opening one.

To ask the system for the size and time of a file takes two microseconds, most of them in Python, and threads wait for
each other there. So many folders are shared among bare processes, which import next to nothing and are there in some
tens of milliseconds; joblib's, which carry the whole project, would start longer than the work takes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.data.formats.discovery import IGNORED_NAMES
from core.settings import PROJECT_ROOT

FOLDERS_PER_PROCESS = 100
"""Below so many folders a further process costs more than it saves."""
ANSWER = "from core.data.index.folder_stamp import answer; answer()"


def digest_of(parts: Iterable[object]) -> str:
    """Return 32 hex digits for a sequence of texts or numbers, paths of any encoding among them."""
    return hashlib.sha256("\n".join(map(str, parts)).encode(errors="surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStamp:
    """The state of a folder, without opening a file."""

    digest: str
    """Hash of the relative path, size and modification time of every file below the folder."""
    file_count: int
    empty_folders: tuple[Path, ...]
    """Folders directly in it that hold no file."""


def stamp_folder(folder: Path) -> FolderStamp:
    """Look at the files below a folder, the same that :func:`core.data.formats.discovery.walk_files` finds."""
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


def stamp_folders(folders: Sequence[Path], jobs: int) -> list[FolderStamp]:
    """Look at many folders, one after the other or, from :data:`FOLDERS_PER_PROCESS` on, in several processes.

    Parameters
    ----------
    folders
        Each as :func:`stamp_folder` takes it.
    jobs
        Processes at most, this one counted.
    """
    count = max(1, min(jobs, len(folders) // FOLDERS_PER_PROCESS))
    shares = [folders[number::count] for number in range(count)]
    others = [_ask(share) for share in shares[1:]]
    stamps: list[FolderStamp | None] = [None] * len(folders)
    stamps[::count] = [stamp_folder(folder) for folder in shares[0]]
    for number, (share, other) in enumerate(zip(shares[1:], others, strict=True), start=1):
        stamps[number::count] = _answer_of(other, share) or [stamp_folder(folder) for folder in share]
    return [stamp for stamp in stamps if stamp is not None]


def _ask(folders: Sequence[Path]) -> subprocess.Popen[bytes] | None:
    """Start a process on some folders; None where none can be started."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    try:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", ANSWER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
    except (OSError, ValueError):
        return None
    assert process.stdin
    with suppress(BrokenPipeError), process.stdin:  # it ended at once, and will have no answer
        process.stdin.write(json.dumps([os.path.abspath(folder) for folder in folders]).encode())  # noqa: PTH100
    return process


def _answer_of(process: subprocess.Popen[bytes] | None, folders: Sequence[Path]) -> list[FolderStamp] | None:
    """Wait for a process; None where it has no answer, so that the work is done here."""
    if process is None:
        return None
    assert process.stdout
    with process, process.stdout:
        content = process.stdout.read()
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return [
        FolderStamp(digest=digest, file_count=count, empty_folders=tuple(folder / name for name in empty))
        for folder, (digest, count, empty) in zip(folders, found, strict=True)
    ]


def answer() -> None:
    """Be such a process: read folders from standard input, and write what they are to standard output."""
    stamps = [stamp_folder(Path(folder)) for folder in json.load(sys.stdin.buffer)]
    answers = [(stamp.digest, stamp.file_count, [path.name for path in stamp.empty_folders]) for stamp in stamps]
    json.dump(answers, sys.stdout)


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
