"""Figures of several processes, any of which may end while they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil


def add_up(read: Callable[[psutil.Process], float], processes: Iterable[psutil.Process]) -> float:
    """The sum over those that are still there."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total += read(process)
    return total
