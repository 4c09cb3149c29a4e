"""What the benchmarks share: their arguments, the machine in words, medians, a table, and the command line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from threadpoolctl import threadpool_limits

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))


def parse_arguments(parser: argparse.ArgumentParser, **tiny: object) -> argparse.Namespace:
    """Return the arguments of a benchmark; ``--tiny`` puts other defaults in the place of the parser's.

    In its tiny form a benchmark goes through all its code in seconds. Its figures then mean nothing, and a verdict that
    rests on them is not asked for. ``tests/benchmarks`` runs every benchmark so. BLAS gets one thread: beside other work several
    wait for each other many times as long as a simulation's small matrices take.
    """
    threadpool_limits(1, user_api="blas")
    parser.add_argument("--tiny", action="store_true", help="run to the end in seconds; the figures mean nothing")
    if parser.parse_args().tiny:
        parser.set_defaults(**tiny)
    return parser.parse_args()


TINY_SCAN = ("--slices", "4", "--size", "32")
"""Of ``phantom``, in the tiny forms."""
TINY_SETTINGS = ("size_px=32", "slice_count=2", "epochs=1")
"""Of ``train``, in the tiny forms."""


def set_words(*settings: str) -> list[str]:
    """``--set`` before each setting, for the command line; the last of one name holds."""
    return [word for setting in settings for word in ("--set", setting)]


def machine() -> str:
    """The processor, how many of its cores this process may use, the memory and Python, in one line."""
    model = platform.processor() or platform.machine()
    with Path("/proc/cpuinfo").open() as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), model)
    memory = psutil.virtual_memory().total / 2**30
    cores = psutil.cpu_count()
    return (
        f"{model}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def shared_data() -> Path | None:
    """The folder of real scans, where it is at hand (MGMT_LAB_SHARED, or shared/data beside the project)."""
    folder = Path(os.environ.get("MGMT_LAB_SHARED") or PROJECT.parent / "shared" / "data")
    return folder if folder.is_dir() else None


def cpu_seconds() -> float:
    """CPU time of this process and of those it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def cpu_seconds_of_all() -> float:
    """CPU time of this process and of those below it that still run, such as joblib's workers."""
    from tests.processes import add_up

    own = psutil.Process()
    return add_up(lambda process: sum(process.cpu_times()[:2]), (own, *own.children(recursive=True)))


def interleave(candidates: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU-seconds of each candidate; they take turns, so that a busy neighbour disturbs all alike."""
    for work in candidates.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, work in candidates.items():
            start = time.process_time()
            work()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table with aligned columns."""
    cells = [
        list(header),
        *([f"{value:.3g}" if isinstance(value, float) else str(value) for value in row] for row in rows),
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(f"\n{title}")
    for row in cells:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    sys.stdout.flush()


class PeakMemory:
    """Watches the memory of a process and its children: the proportional share of each, added up."""

    def __init__(self, pid: int) -> None:
        """Start to watch."""
        self.process = psutil.Process(pid)
        self.parent = self.whole = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.stopped.wait(0.1):
            try:
                own = self.process.memory_info().rss
                children = sum(child.memory_full_info().uss for child in self.process.children(recursive=True))
            except psutil.Error:
                continue
            self.parent, self.whole = max(self.parent, own), max(self.whole, own + children)

    def stop(self) -> tuple[float, float]:
        """Return the peaks in MB: of the process, and of it with its children."""
        self.stopped.set()
        self.thread.join()
        return self.parent / 1e6, self.whole / 1e6


def call_core(*arguments: object, home: Path) -> Any:
    """Call the command line as a person would, and return its JSON; its progress goes to standard error."""
    command = [sys.executable, "-m", "core", *map(str, arguments), "--json"]
    environment = {**os.environ, "MGMT_LAB_HOME": str(home)}
    return json.loads(subprocess.run(command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.PIPE).stdout)
