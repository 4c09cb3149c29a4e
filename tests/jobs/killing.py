"""End a process, as it were, before any file operation that one chooses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR


class Killed(BaseException):
    """Stands for the end of the process."""


class Killer:
    """Counts the operations that change files, and lets none happen from a given one on: the dead tidy nothing up."""

    def __init__(self, concerns: Callable[[str], bool], kill_at: int | None = None) -> None:
        self.concerns = concerns
        self.kill_at = kill_at
        self.count = 0

    @property
    def dead(self) -> bool:
        """Whether the process has come to its end."""
        return self.kill_at is not None and self.count > self.kill_at

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise before the operation if it is not to happen."""
        changes = event in CHANGES or (event == "open" and bool((arguments[2] or 0) & WRITING))
        if not changes or isinstance(arguments[0], int):
            return
        if self.dead:
            raise Killed
        if self.concerns(os.fsdecode(arguments[0])):
            self.count += 1
            if self.dead:
                raise Killed


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
        yield
    finally:
        _killers.remove(killer)
