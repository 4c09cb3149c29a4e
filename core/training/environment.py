"""With what a run was made: environment.json."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from core import __version__
from core.data.split import PARTS
from core.files import write_atomic
from core.settings import PROJECT_ROOT
from core.training.run import now

if TYPE_CHECKING:
    from core.training.job import Job, Training
    from core.training.run import RunFolder

__all__ = ["find_commit", "list_versions", "write_environment"]

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "pydicom")


def list_versions() -> dict[str, str]:
    """Versions of this project, of Python and of the packages that decide a result."""
    versions = {"mgmt-lab": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def find_commit() -> str:
    """Commit of the project's working tree, with a plus sign where it has changes; empty where there is no git."""
    try:
        git = ["git", "-C", str(PROJECT_ROOT)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")


def write_environment(job: Job, training: Training) -> None:
    """Write environment.json of the job's run; when a run is resumed only the moment is added.

    The number of threads (of each process) and of processes is kept on resume, because another one changes the result.
    """
    import torch

    assert job.run is not None
    before = job.run.environment()
    if before:
        _write(job.run, before | {"resumed": [*before.get("resumed", []), now()]})
        return
    labels = job.table.rows["label"].to_numpy()
    rows = {part: job.split.indices(job.table, part) for part in PARTS}
    device = torch.device(training.compute.device)
    _write(
        job.run,
        {
            "versions": list_versions(),
            "commit": find_commit(),
            "platform": platform.platform(),
            "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
            "compute": asdict(training.compute),
            "threads": torch.get_num_threads(),
            "world_size": job.world.size,
            "weights": {
                **asdict(training.weights),
                "missing": len(training.weights.missing),
                "summary": training.weights.describe(),
            },
            "cohort_digest": job.split.cohort_digest,
            "split_digest": job.split.digest,
            "test_digest": job.split.test_digest,
            "leaky": job.split.leaky,
            "synthetic": job.cohort.synthetic if job.cohort else None,
            "class_names": list(job.table.class_names),
            "positive_class": job.table.positive_class,
            "sizes": {
                part: {
                    "slices": len(rows[part]),
                    "patients": int(job.table.rows["person"].iloc[rows[part]].nunique()),
                    "per_class": np.bincount(labels[rows[part]], minlength=len(job.table.class_names)).tolist(),
                }
                for part in PARTS
            },
        },
    )


def _write(run: RunFolder, content: dict[str, Any]) -> None:
    write_atomic(run.path / "environment.json", json.dumps(content, indent=1))
