"""How much heavy work a hosted server does at once: reading and predicting wait here for their turn."""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from core.settings import Settings

AT_ONCE = 2
"""One upload may take 1 GB of memory; two are what the smallest hosts have."""

PLACES_A_SECOND = 10
"""How many of those who wait hear their place within a second; more would cost the time of those who work."""

_held = threading.local()


@dataclass(order=True, slots=True)
class _Waiter:
    since: float
    number: int
    called: threading.Event = field(compare=False, default_factory=threading.Event)


class Line:
    """Those who wait for their turn, in the order in which their work began."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: list[_Waiter] = []
        self._numbers = count()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, tell: Callable[[int], None] = lambda place: None, since: float | None = None) -> Iterator[None]:
        """Wait for one's turn and hold it; `tell` is called with each better place in line, 1 being the next one.

        `since` is when the work began that the turn belongs to (by ``time.monotonic``; None: now). What needs several turns
        is done before what began later, so that the first in a crowd have their answer while the last still wait.
        """
        me = _Waiter(time.monotonic() if since is None else since, next(self._numbers))
        with self._lock:
            insort(self._waiting, me)
            self._call()
        try:
            told = None
            while not me.called.is_set():
                place = self._place(me)
                if place and (told is None or place < told):
                    tell(place)  # outside the lock: it may raise, where its visitor has gone
                    told = place
                me.called.wait(max(1.0, place / PLACES_A_SECOND))
            yield
        finally:
            with self._lock:
                if me.called.is_set():
                    self._free += 1
                else:
                    self._waiting.remove(me)
                self._call()

    def _place(self, waiter: _Waiter) -> int:
        """From 1; 0 where it was called meanwhile."""
        with self._lock:
            return 0 if waiter.called.is_set() else self._waiting.index(waiter) + 1

    def _call(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            self._waiting.pop(0).called.set()


_line = Line(AT_ONCE)


@contextmanager
def admitted(
    settings: Settings, tell: Callable[[int], None] = lambda place: None, since: float | None = None
) -> Iterator[None]:
    """Wait for one's turn, in hosted mode, and hold it for the length of the block; :meth:`Line.turn` has the arguments.

    A thread that holds a turn enters at once: what reads may be called by what predicts.
    """
    if not settings.hosted or getattr(_held, "turn", False):
        yield
        return
    with _line.turn(tell, since):
        _held.turn = True
        try:
            yield
        finally:
            _held.turn = False
