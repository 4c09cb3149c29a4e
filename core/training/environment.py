"""Write environment.json: what a run was made with."""

from __future__ import annotations

import json
import platform
import shlex
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from core.config import RunConfig, leaf_values
from core.dataset.split import PARTS, make_split
from core.errors import SplitError
from core.files import write_atomic
from core.presets import PRESETS
from core.runs.environment import find_commit, list_versions, name_code, name_processor
from core.runs.folder import RunFolder, now
from core.runs.records import DataSource
from core.training import distributed
from core.training.state import TrainingSpec, TrainingState
from core.training.torchrun import local_size


def write_environment(spec: TrainingSpec, state: TrainingState, participants: dict[str, object] | None = None) -> None:
    """Write what is needed to repeat a run into its folder; when it is resumed, only add the time. Without a run, nothing.

    The number of threads (of each process) and of processes is kept on resume, because another one changes the result.
    `participants` is the flow of the cohort's participants (:func:`core.data.clinical.participants.describe_flow`).
    """
    if spec.run is None:
        return
    before = spec.run.environment()
    if before:
        _write(spec.run, before | {"resumed": [*before.get("resumed", []), now()]})
        return
    processes, threads = distributed.world_size(), torch.get_num_threads()
    drawn = processes == local_size() and _is_drawn(spec)
    labels = spec.table.rows["label"].to_numpy()
    rows = {part: spec.split.indices(spec.table, part) for part in PARTS}
    device = torch.device(state.compute.device)
    _write(
        spec.run,
        {
            "versions": list_versions(),
            "commit": find_commit(),
            "code": name_code(),
            "platform": platform.platform(),
            "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else name_processor(),
            "compute": asdict(state.compute),
            "threads": threads,
            "world_size": processes,
            "config": spec.config.model_dump(mode="json"),
            "data": spec.run.source.model_dump(mode="json"),
            "command": describe_command(spec.config, spec.run.source, threads, processes) if drawn else "",
            "weights": {
                **asdict(state.weights),
                "missing": len(state.weights.missing),
                "summary": state.weights.describe(),
            },
            "cohort_digest": spec.split.cohort_digest,
            "content_digest": spec.table.content_digest,
            "split_digest": spec.split.digest,
            "test_digest": spec.split.test_digest,
            "leaky": spec.split.leaky,
            "synthetic": spec.synthetic,
            "participants": participants,
            "class_names": list(spec.table.class_names),
            "positive_class": spec.table.positive_class,
            "sizes": {
                part: {
                    "slices": len(rows[part]),
                    "patients": int(spec.table.rows["person"].iloc[rows[part]].nunique()),
                    "per_class": np.bincount(labels[rows[part]], minlength=len(spec.table.class_names)).tolist(),
                }
                for part in PARTS
            },
        },
    )


def describe_command(config: RunConfig, source: DataSource, threads: int, processes: int = 1) -> str:
    """The command that trains the same run again, with so many threads in each of so many processes of one machine.

    Empty where none can: shuffled labels, joined cohorts, a preset that is gone.

    The split must be the one that the configuration draws; :func:`write_environment` sees to that.
    """
    preset = PRESETS.get(config.preset)
    if source.shuffle_seed is not None or source.joined or source.leave_out or preset is None:
        return ""
    launcher = ["python"] if processes == 1 else ["torchrun", "--nproc_per_node", str(processes)]
    words = [*launcher, "-m", "core", "train", source.root, "--preset", config.preset, *source.options]
    theirs = leaf_values(preset.config)
    for name, value in leaf_values(config).items():
        if value != theirs[name]:
            words += ["--set", f"{name}={','.join(map(str, value)) if isinstance(value, list) else value}"]
    return shlex.join([*words, "--jobs", str(threads * processes)])


def _is_drawn(spec: TrainingSpec) -> bool:
    """Whether the split is the one that the configuration draws; folds and pairs bring their own."""
    try:
        return make_split(spec.table, spec.config.split, spec.split.cohort_digest).digest == spec.split.digest
    except SplitError:
        return False


def _write(run: RunFolder, content: dict[str, Any]) -> None:
    write_atomic(run.path / "environment.json", json.dumps(content, indent=1))
