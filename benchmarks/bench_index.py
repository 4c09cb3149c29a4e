"""Indexing a cohort as large as the competition's: the first time, again unchanged, and the memory it takes.

The cohort is one synthetic study of four series, hard-linked under many ids, so that 350,000 files cost no disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import PROJECT, PeakMemory, cpu_seconds, machine, parse_arguments, print_table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=585)
    parser.add_argument("--slices", type=int, default=150)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parse_arguments(parser, studies=4, slices=4)
    with tempfile.TemporaryDirectory() as folder:
        data = link_cohort(Path(folder), arguments.studies, arguments.slices)
        calls = [("first", *index(Path(folder), data, arguments.jobs)) for _ in range(1)]
        calls += [("again, unchanged", *index(Path(folder), data, arguments.jobs)) for _ in range(3)]
    files = arguments.studies * arguments.slices * 4
    rows = [
        (name, files, wall, cpu, files / wall, calls[0][1] / wall, calls[0][2] / cpu, parent, whole)
        for name, wall, cpu, parent, whole in calls
    ]
    print_table(
        f"python -m core index, {arguments.jobs} processes, start of Python included ({machine()})",
        ("call", "files", "wall s", "CPU s", "files/s", "x faster", "x less CPU", "MB", "MB with workers"),
        rows,
    )


def link_cohort(folder: Path, studies: int, slices: int) -> Path:
    """Make one study and link its files under the other ids."""
    from core.phantom.cohort import make_phantom
    from core.phantom.config import PhantomConfig

    make_phantom(folder / "one", PhantomConfig(studies=2, slices=slices, size=32), jobs=1)
    source = next((folder / "one" / "train").iterdir())
    for number in range(studies):
        for series in source.iterdir():
            target = folder / "data" / "train" / f"{number:05}" / series.name
            target.mkdir(parents=True)
            for file in series.iterdir():
                os.link(file, target / file.name)
    return folder / "data"


def index(home: Path, data: Path, jobs: int) -> tuple[float, float, float, float]:
    """Run the command; returns wall and CPU seconds, and peak MB without and with the worker processes."""
    command = [sys.executable, "-m", "core", "index", str(data), "--jobs", str(jobs), "--json"]
    environment = {**os.environ, "MGMT_LAB_HOME": str(home / "home"), "OMP_NUM_THREADS": "1"}
    wall, cpu = time.perf_counter(), cpu_seconds()
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE) as process:
        memory = PeakMemory(process.pid)
        document = json.loads(process.communicate()[0])
    seconds = time.perf_counter() - wall, cpu_seconds() - cpu
    parent, whole = memory.stop()
    expected = sum(len(files) for _, _, files in os.walk(data))
    assert document["files"] == expected, (document["files"], expected, document["unreadable"][:3])
    return *seconds, parent, whole


if __name__ == "__main__":
    main()
