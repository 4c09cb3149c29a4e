"""How much heavy work a hosted server does at once: reading and predicting wait here for their turn."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.settings import Settings

AT_ONCE = 2
"""One upload may take 1 GB of memory; two are what the smallest hosts have."""

_held = threading.local()


class Line:
    """Those who wait for their turn, the longest first."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: deque[object] = deque()
        self._moved = threading.Condition()

    @contextmanager
    def turn(self, tell: Callable[[int], None] = lambda place: None) -> Iterator[None]:
        """Wait for one's turn and hold it; `tell` is called with each place in line, 1 being the next one."""
        me = object()
        with self._moved:
            self._waiting.append(me)
        told = 0
        try:
            while True:
                with self._moved:
                    place = self._waiting.index(me) + 1
                    if place == 1 and self._free:
                        self._free -= 1
                        break
                    if place == told:
                        self._moved.wait(1)
                if place != told:
                    tell(place)  # outside the lock: it may raise, where its visitor has gone
                    told = place
        finally:
            with self._moved:
                self._waiting.remove(me)
                self._moved.notify_all()
        try:
            yield
        finally:
            with self._moved:
                self._free += 1
                self._moved.notify_all()


_line = Line(AT_ONCE)


@contextmanager
def admitted(settings: Settings, tell: Callable[[int], None] = lambda place: None) -> Iterator[None]:
    """Wait for one's turn, in hosted mode, and hold it for the length of the block; `tell` hears each place in line.

    A thread that holds a turn enters at once: what reads may be called by what predicts.
    """
    if not settings.hosted or getattr(_held, "turn", False):
        yield
        return
    with _line.turn(tell):
        _held.turn = True
        try:
            yield
        finally:
            _held.turn = False
