"""Memory: the peak that this process has reached, errors that say it gave out, and kills by the system for want of it."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

LINUX_STATUS = Path("/proc/self/status")
LINUX_EVENTS = Path("/proc/vmstat")
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""What torch's errors say where memory gives out on a GPU or a CPU; only the GPU's has a class of its own."""


def peak_memory() -> int | None:
    """Return the peak of resident main memory of this process in bytes, mapped files included; None where not known.

    Linux keeps it for this very program; ``getrusage`` there would count the process that started it.
    """
    try:
        for line in LINUX_STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if sys.platform == "win32":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of Python or torch means that memory gave out."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in NO_MEMORY)


def oom_kills() -> int | None:
    """Return how many processes the system has killed for want of memory since it started; None where not known.

    Linux counts all of them, whoever's they were and whatever limit they ran into: a rise says that memory ran out in
    the meantime, not for whom.
    """
    try:
        for line in LINUX_EVENTS.read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return None
