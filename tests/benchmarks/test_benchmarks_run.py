"""No benchmark breaks unseen between two measurements: what it imports exists, and its tiny form runs to its end."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import PROJECT_ROOT

BENCHMARKS = sorted((PROJECT_ROOT / "benchmarks").glob("bench_*.py"))


def test_the_benchmarks_are_found() -> None:
    assert len(BENCHMARKS) > 10


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_of_core_exists(benchmark: Path) -> None:
    nodes = ast.walk(ast.parse(benchmark.read_text()))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("core")]
    for node in imports:
        module = importlib.import_module(str(node.module))
        assert [name.name for name in node.names if not hasattr(module, name.name)] == [], node.module


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_runs_to_its_end(benchmark: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "MGMT_LAB_HOME": str(tmp_path), "MGMT_LAB_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(benchmark), "--tiny"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) > 2, "it prints no table"
