"""Every benchmark runs to its end in its tiny form, so that none breaks unseen between two measurements."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import PROJECT_ROOT

BENCHMARKS = sorted((PROJECT_ROOT / "benchmarks").glob("bench_*.py"))


def test_the_benchmarks_are_found() -> None:
    assert len(BENCHMARKS) > 10


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_runs_to_its_end(benchmark: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "MGMT_LAB_HOME": str(tmp_path), "MGMT_LAB_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(benchmark), "--tiny"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) > 2, "it prints no table"
