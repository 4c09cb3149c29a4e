"""With what a run was made: environment.json."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from core.dataset.split import PARTS, make_split
from core.errors import SplitError
from core.files import write_atomic
from core.runs.environment import describe_command, find_commit, list_versions, name_processor
from core.runs.folder import now

if TYPE_CHECKING:
    from core.runs.folder import RunFolder
    from core.training.job import Job, Training


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
