"""How much heavy work a hosted server does at once: reading and predicting wait here for their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from core.settings import Settings

AT_ONCE = 2
"""One upload may take 1 GB of memory; two are what the smallest hosts have."""

_turns = threading.BoundedSemaphore(AT_ONCE)
_held = threading.local()


@contextmanager
def admitted(settings: Settings) -> Iterator[None]:
    """Wait for one's turn, in hosted mode, and hold it for the length of the block.

    A thread that holds a turn enters at once: what reads may be called by what predicts.
    """
    if not settings.hosted or getattr(_held, "turn", False):
        yield
        return
    with _turns:
        _held.turn = True
        try:
            yield
        finally:
            _held.turn = False
