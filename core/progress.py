"""Progress of long work: one callable type, the same for the terminal and the pages."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as work advances; may raise to cancel it."""

    def __call__(self, done: int, total: int, what: str = "") -> None:
        """Report that `done` of `total` items are finished, the last of them `what`."""


def silent(done: int, total: int, what: str = "") -> None:
    """Report nothing."""
