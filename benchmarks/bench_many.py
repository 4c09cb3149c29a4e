"""Predict hundreds of studies into a table, killed twice on the way: what is lost or doubled, seconds a study, and memory.

``python benchmarks/bench_many.py [--studies 300]``. Small synthetic studies of four sequences; `predict FOLDER --csv` is killed with
SIGKILL when a third and when two thirds of the rows are written, and the same command ends it. Pass rules, fixed before the run:
every study has one row (0 lost, 0 doubled) with a probability or a reason; each probability is that of a call of the study alone,
for five studies drawn (seed 0); the last call takes over at least all rows but one of each kill.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from measuring import PROJECT, TINY_SCAN, machine, parse_arguments, print_table
from scipy.stats import beta


def main() -> None:
    """Predict, kill, count; exit 1 where a rule is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=300)
    arguments = parse_arguments(parser, studies=6)
    print(machine(), flush=True)
    count = arguments.studies
    with TemporaryDirectory() as folder:
        cohort, table, out = (Path(folder) / name for name in ("cohort", "out.csv", "out.json"))
        environment = {**os.environ, "MGMT_LAB_HOME": str(Path(folder) / "home"), "MGMT_LAB_THREADS": "1"}

        def command(*words: object) -> list[str]:
            return [sys.executable, "-m", "core", *map(str, words)]

        def ask(*words: object) -> str:
            done = subprocess.run(
                command(*words), cwd=PROJECT, env=environment, check=True, capture_output=True, text=True
            )
            return done.stdout

        ask("phantom", cohort, "--studies", count, *TINY_SCAN)
        began, peak, seconds = 0, 0.0, 0.0
        words = ("predict", "demo-synthetic", cohort / "train", "--csv", table, "--json")
        for stop in (count // 3, 2 * count // 3, None):
            started = time.monotonic()
            with out.open("wb") as stream:  # a pipe would be full before the process has ended
                process = subprocess.Popen(command(*words), cwd=PROJECT, env=environment, stdout=stream)
            reached = watch(process, table, stop)
            peak, seconds = max(peak, reached), seconds + time.monotonic() - started
            if stop is not None:
                process.kill()
                began = len(read_rows(table))
            process.wait()
        result, rows = json.loads(out.read_text()), read_rows(table)
        drawn = random.Random(0).sample(sorted(path.name for path in (cohort / "train").iterdir() if path.is_dir()), 5)
        alone = {
            name: json.loads(ask("predict", "demo-synthetic", cohort / "train" / name, "--json", "--anyway"))[
                "studies"
            ][0]
            for name in drawn
        }
    names = [row["study_id"] for row in rows]
    lost, doubled = count - len(set(names)), len(names) - len(set(names))
    answered = sum(bool(row["probability"] or row["reason"]) for row in rows)
    by_name = {row["study_id"]: row for row in rows}
    same = all(
        not by_name[name]["probability"] or abs(float(by_name[name]["probability"]) - one["probability"]) < 1e-6
        for name, one in alone.items()
    )
    bound = beta.ppf(0.95, lost + doubled + 1, count - lost - doubled)
    print_table(
        f"predict FOLDER --csv, {count} studies, killed twice",
        ("rows", "lost", "doubled", "at most (95%)", "taken over", "answered or refused", "seconds a study", "peak MiB"),
        [(len(rows), lost, doubled, f"{bound:.3f}", result["taken_over"], answered, f"{seconds / count:.2f}", f"{peak:.0f}")],
    )  # fmt: skip
    passed = lost == doubled == 0 and answered == count and same and result["taken_over"] >= began
    print(f"every rule holds: {passed} (five studies alone give the same: {same})")
    sys.exit(not passed)


def watch(process: subprocess.Popen[bytes], table: Path, stop: int | None) -> float:
    """Wait until the table has so many rows, or the process ends; returns its largest resident memory in MiB."""
    peak, seen = 0.0, psutil.Process(process.pid)
    while process.poll() is None and (stop is None or len(read_rows(table)) < stop):
        try:
            peak = max(peak, seen.memory_info().rss / 2**20)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    return peak


def read_rows(table: Path) -> list[dict[str, str]]:
    """The rows that are written so far."""
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


if __name__ == "__main__":
    main()
