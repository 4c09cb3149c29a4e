"""Let one file operation that one chooses fail, or end the process, as it were, before it or in the middle of a write."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import numpy as np

MAKES = {"os.mkdir", "os.rename", "os.link", "os.truncate"}
REMOVES = {"os.remove", "os.rmdir", "shutil.rmtree"}
"""A full disk lets them happen."""
WRITING = os.O_WRONLY | os.O_RDWR
Kind = Literal["kill", "ENOSPC", "EIO"]
KINDS: tuple[Kind, ...] = ("kill", "ENOSPC", "EIO")


class Killed(BaseException):
    """Stands for the end of the process."""


class Killer:
    """Counts the operations that change files, and lets one of them fail.

    With the kind "kill" none happens from that one on: the dead tidy nothing up. The others raise an OSError once; of a write
    that fails, the first half is on the disk. `writes` counts each write and fsync, too; those that libraries do in C (pyarrow)
    are not seen, but the opening before and the fsync after them.
    """

    def __init__(
        self, concerns: Callable[[str], bool], kill_at: int | None = None, kind: Kind = "kill", *, writes: bool = False
    ) -> None:
        self.concerns = concerns
        self.kill_at = kill_at
        self.kind = kind
        self.writes = writes
        self.count = 0

    @property
    def dead(self) -> bool:
        """Whether the process has come to its end."""
        return self.kind == "kill" and self.kill_at is not None and self.count > self.kill_at

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise before the operation if it is not to happen."""
        makes = event in MAKES or (event == "open" and bool((arguments[2] or 0) & WRITING))
        removes = event in REMOVES
        if not (makes or removes) or isinstance(arguments[0], int):
            return
        if self.dead:
            raise Killed
        if event == "shutil.rmtree" and self.kind != "kill":
            return  # what it removes is seen piece by piece, and may be told to go on
        if makes or self.kind != "ENOSPC":
            self.meet(os.fsdecode(arguments[0]))

    def meet(self, path: str) -> None:
        """Count an operation on a path, and raise if it is the one that fails."""
        if not self.concerns(path):
            return
        self.count += 1
        if self.kill_at is not None and self.count == self.kill_at + 1:
            if self.kind == "kill":
                raise Killed
            number = getattr(errno, self.kind)
            raise OSError(number, os.strerror(number), path)


_killers: list[Killer] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    for killer in _killers:
        killer.see(event, arguments)


sys.addaudithook(_audit)  # It cannot be taken away again, and does nothing outside of the block below.


@contextmanager
def killing(killer: Killer) -> Iterator[None]:
    """Let a killer see what happens in the block, in all threads."""
    _killers.append(killer)
    try:
        with _watching_writes(killer) if killer.writes else mock.patch.dict({}):
            yield
    finally:
        _killers.remove(killer)


@contextmanager
def _watching_writes(killer: Killer) -> Iterator[None]:
    os_write, os_fsync, io_open = os.write, os.fsync, io.open

    def write(descriptor: int, content: Any) -> int:
        return _write(killer, _path(descriptor), lambda part: os_write(descriptor, part), content)

    def fsync(descriptor: int) -> None:
        if not killer.dead:
            killer.meet(_path(descriptor))
            os_fsync(descriptor)

    class Raw(io.FileIO):
        def write(self, content: Any, /) -> int:
            return _write(killer, _path(self.fileno()), super().write, content)

    def opened(
        file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None, newline: Any = None,
        closefd: bool = True, opener: Any = None,
    ) -> Any:  # fmt: skip
        if not set(mode) & set("wax+") or (isinstance(file, int) and not killer.concerns(_path(file))):
            return io_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = Raw(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding, errors, newline)

    with (
        mock.patch.object(os, "write", write),
        mock.patch.object(os, "fsync", fsync),
        mock.patch.object(io, "open", opened),
        mock.patch.object(builtins, "open", opened),
        mock.patch.object(shutil, "_USE_CP_SENDFILE", False),
        mock.patch.object(np.lib._format_impl, "isfileobj", return_value=False),  # it would write in C
    ):
        yield


def _write(killer: Killer, path: str, write: Callable[[Any], int], content: Any) -> int:
    whole = bytes(content)
    if killer.dead:  # what a buffer holds is lost with its process
        return len(whole)
    try:
        killer.meet(path)
    except (OSError, Killed):
        write(whole[: len(whole) // 2])
        raise
    return write(whole)


def _path(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())
