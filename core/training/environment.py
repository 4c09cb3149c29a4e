"""With what a run was made: environment.json."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import __version__
from core.config import RunConfig, leaf_values
from core.dataset.split import PARTS, make_split
from core.errors import SplitError
from core.files import write_atomic
from core.presets import PRESETS
from core.runs.folder import now
from core.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from core.runs.folder import RunFolder
    from core.runs.records import DataSource
    from core.training.job import Job, Training


PACKAGES = ("torch", "torchvision", "monai", "numpy", "scipy", "pandas", "pydicom", "nibabel", "python-gdcm")
CPU_INFO = Path("/proc/cpuinfo")


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


def name_processor() -> str:
    """The CPU's model where the system tells it, else its kind: another model may sum in another order."""
    try:
        lines = CPU_INFO.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def describe_command(config: RunConfig, source: DataSource, threads: int, processes: int = 1) -> str:
    """The command that trains the same run again, with so many threads in each of so many processes of one machine.

    Empty where none can: shuffled labels, a preset that is gone.

    The split must be the one that the configuration draws; :func:`write_environment` sees to that.
    """
    preset = PRESETS.get(config.preset)
    if source.shuffle_seed is not None or preset is None:
        return ""
    launcher = ["python"] if processes == 1 else ["torchrun", "--nproc_per_node", str(processes)]
    words = [*launcher, "-m", "core", "train", source.root, "--preset", config.preset]
    for option in ("labels", "patient_pattern", "layout", "sequence", "identity"):
        value = getattr(source, option)
        words += [f"--{option.replace('_', '-')}", value] if value is not None else []
    for uid, sequence in source.assign:
        words += ["--assign", f"{uid}={sequence}"]
    theirs = leaf_values(preset.config)
    for name, value in leaf_values(config).items():
        if value != theirs[name]:
            words += ["--set", f"{name}={','.join(map(str, value)) if isinstance(value, list) else value}"]
    return shlex.join([*words, "--jobs", str(threads * processes)])


def write_environment(job: Job, training: Training) -> None:
    """Write environment.json of the job's run, enough to repeat it; when a run is resumed only the moment is added.

    The number of threads (of each process) and of processes is kept on resume, because another one changes the result.
    """
    import torch

    assert job.run is not None
    before = job.run.environment()
    if before:
        _write(job.run, before | {"resumed": [*before.get("resumed", []), now()]})
        return
    drawn = job.world.size == job.world.local_size and _is_drawn(job)
    labels = job.table.rows["label"].to_numpy()
    rows = {part: job.split.indices(job.table, part) for part in PARTS}
    device = torch.device(training.compute.device)
    _write(
        job.run,
        {
            "versions": list_versions(),
            "commit": find_commit(),
            "platform": platform.platform(),
            "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else name_processor(),
            "compute": asdict(training.compute),
            "threads": torch.get_num_threads(),
            "world_size": job.world.size,
            "config": job.config.model_dump(mode="json"),
            "data": job.run.source.model_dump(mode="json"),
            "command": describe_command(job.config, job.run.source, torch.get_num_threads(), job.world.size)
            if drawn
            else "",
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


def _is_drawn(job: Job) -> bool:
    """Whether the split is the one that the configuration draws; folds and twins bring their own."""
    try:
        return make_split(job.table, job.config.split, job.split.cohort_digest).digest == job.split.digest
    except SplitError:
        return False


def _write(run: RunFolder, content: dict[str, Any]) -> None:
    write_atomic(run.path / "environment.json", json.dumps(content, indent=1))
