"""No benchmark breaks unseen between two measurements: what it imports exists, and its tiny form runs to its end."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from core.data.raw.images import to_image
from core.mri import MRSequence
from core.settings import PROJECT_ROOT
from tests.data.raw.heads import scan

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


@pytest.mark.slow
def test_the_raw_benchmark_measures_any_head_that_is_given(tmp_path: Path) -> None:
    volumes = {"one": scan(MRSequence.T1W), "other": scan(MRSequence.T1W, index=1)}
    for name, volume in volumes.items():
        sitk.WriteImage(to_image(volume), str(tmp_path / f"{name}.nii.gz"))
    command = [sys.executable, str(PROJECT_ROOT / "benchmarks" / "bench_raw.py"), "--tiny", "--strangers", "1"]
    command += ["--head", str(tmp_path / "one.nii.gz"), "--other", str(tmp_path / "other.nii.gz")]
    environment = {**os.environ, "MGMT_LAB_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if " n = 1 " in f"{line} "]
    for kind in ("moves found within 1 mm", "caught: not registered", "caught: another person's series"):
        assert any(kind in row and " 1.000 (" in row for row in rows), done.stdout
