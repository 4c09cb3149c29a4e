"""Preparing on a Dask cluster: two workers on loopback, beside one process and beside joblib's own two processes.

A scheduler and two workers are started as processes of their own, as on a cluster; all read the same cohort and write
the same cache. The candidates take turns over a few rounds, each with an empty cache, workers started beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from measuring import PROJECT, machine, parse_arguments, print_table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--cohort", type=Path, help="one that is there already")
    parser.set_defaults(slices=48, size=256)
    arguments = parse_arguments(parser, studies=2, rounds=1, slices=4, size=32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cohort = arguments.cohort or make_cohort(folder / "cohort", arguments.studies, arguments.slices, arguments.size)
        with start_cluster(folder) as address:
            measure(cohort, folder / "home", address, arguments.rounds)


def make_cohort(folder: Path, studies: int, slices: int, size: int) -> Path:
    """Four sequences of so many square slices a study."""
    from core.phantom.cohort import make_phantom
    from core.phantom.config import PhantomConfig

    make_phantom(folder, PhantomConfig(studies=studies, slices=slices, size=size))
    return folder


def measure(data: Path, home: Path, address: str, rounds: int) -> None:
    """Let the candidates take turns, and print slices per second."""
    from core.data.cohort import scan_cohort

    cohort = scan_cohort(data)
    ways = {"1 process": (1, ""), "2 processes, joblib": (2, ""), "2 workers, Dask": (2, address)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    digests = set()
    for number in range(rounds + 1):
        for name, (jobs, scheduler) in ways.items():
            spent, digest = prepare(cohort, home, jobs, scheduler)
            digests.add(digest)
            if number:  # the first round starts the processes
                seconds[name].append(spent)
    assert len(digests) == 1, "the pictures differ"
    alone = statistics.median(seconds["1 process"])
    rows = [
        (name, f"{cohort.file_count / statistics.median(values):.0f}", alone / statistics.median(values))
        for name, values in seconds.items()
    ]
    print_table(
        f"prepare, {len(cohort)} studies, {cohort.file_count} slices, medians of n = {rounds} rounds ({machine()})",
        ("way", "slices/s", "x one process"),
        rows,
    )


def prepare(cohort: object, home: Path, jobs: int, scheduler: str) -> tuple[float, str]:
    """Prepare through an empty cache; returns the seconds, and a digest of all images."""
    import xxhash

    from core.config import PrepConfig
    from core.data.study import Cohort
    from core.dataset.table import build_table
    from core.parallel import dask_cluster
    from core.settings import load_settings

    assert isinstance(cohort, Cohort)
    settings = load_settings({"MGMT_LAB_HOME": str(home)})
    prep = PrepConfig(slice_choice="all")
    with dask_cluster(scheduler) if scheduler else nullcontext():
        began = time.perf_counter()
        table = build_table(cohort, prep, settings, jobs=jobs)
        spent = time.perf_counter() - began
    digest = xxhash.xxh3_128()
    for array in table.arrays:
        digest.update(array.tobytes())
    shutil.rmtree(home)
    return spent, digest.hexdigest()


@contextmanager
def start_cluster(folder: Path) -> Iterator[str]:
    """Start a scheduler and two workers on loopback; yields the scheduler's address."""
    file = folder / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    common = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
    worker = ["--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]
    commands = [["dask_scheduler", *common, "--port", "0"], *[["dask_worker", *common, *worker]] * 2]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for module, *options in commands:
            command = [sys.executable, "-m", f"distributed.cli.{module}", *options]
            log = (folder / "cluster.log").open("ab")
            started.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log))
            while not file.exists():
                assert started[0].poll() is None, (folder / "cluster.log").read_text()
                time.sleep(0.1)
        from distributed import Client

        address = str(json.loads(file.read_text())["address"])
        with Client(address, timeout=60) as client:
            client.wait_for_workers(2, timeout=120)
        yield address
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
