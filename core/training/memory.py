"""How much memory this process has held at most, its own and on a GPU; and whether the system ends processes for want of it."""

from __future__ import annotations

import sys
from pathlib import Path

LINUX_STATUS = Path("/proc/self/status")
LINUX_EVENTS = Path("/proc/vmstat")


def peak_memory() -> int | None:
    """Most bytes of main memory that were resident in this process, mapped files included; None where none can tell.

    Linux tells it of this very program; ``getrusage`` there would count the process that started it.
    """
    try:
        for line in LINUX_STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_gpu_memory(device: str) -> int | None:
    """Most bytes that tensors held on a CUDA device; None for other devices."""
    import torch

    if torch.device(device).type != "cuda":
        return None
    return int(torch.cuda.max_memory_allocated(device))


def oom_kills() -> int | None:
    """How many processes the system has killed for want of memory since it started; None where it does not tell.

    Linux counts all of them, whoever's they were and whatever limit they ran into: a rise says that memory ran out while
    one watched, not for whom.
    """
    try:
        for line in LINUX_EVENTS.read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return None
