"""The permutation test of a training run: trained again and again with labels shuffled by patient.

Everything that chose anything is repeated: the split, the training, the choice of the best epoch. The figure is the AUROC
by patient of the best epoch on the validation patients. It is optimistic, because they chose the epoch; but each shuffle
is optimistic in the same way, so the comparison is fair, and nobody looks at the test patients.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.config import RunConfig
from core.errors import RunError
from core.evaluation.figure import Figure
from core.experiments.linear_head import permutation_p
from core.files import write_atomic
from core.parallel import run_tasks
from core.progress import Progress, silent
from core.settings import Settings
from core.training.lock import hold_lock
from core.training.records import DataSource
from core.training.run import NAME_PATTERN, RunFolder, with_absolute_paths
from core.training.trainer import train

__all__ = ["PermutationTest", "list_permutations", "permute_run", "read_permutation"]

OBSERVED = "observed"
PLAN, RESULT = "permutation.json", "permutation-result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PermutationTest:
    """A run's figure among those of shuffled labels."""

    name: str
    observed: Figure
    null: tuple[float, ...]
    leaky: bool
    """The split is by slice: then shuffled labels do well too, and p says so."""

    @property
    def p_value(self) -> float:
        """(1 + shuffles at least as good) / (1 + shuffles)."""
        return permutation_p(self.observed.value or 0.0, list(self.null))  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """As ``permute --json`` prints it."""
        return {
            "kind": "reruns",
            "name": self.name,
            "observed": self.observed.to_dict(),
            "permutations": len(self.null),
            "p": self.p_value,
            "null": list(self.null),
            "leaky": self.leaky,
        }


def permute_run(
    settings: Settings,
    config: RunConfig,
    source: DataSource,
    *,
    name: str,
    reruns: int,
    jobs: int = 1,
    progress: Progress = silent,
) -> PermutationTest:
    """Train once with the true labels and `reruns` times with shuffled ones; what was trained before is kept.

    The same call goes on where it was cut off, and a larger `reruns` adds to what is there. Of the shuffled runs only
    configuration, split and epochs are kept, not the weights.

    Parameters
    ----------
    settings, config, source
        Where, what, on which data.
    name
        Of the folder below ``settings.experiments``.
    reruns
        Shuffles.
    jobs
        Trainings at the same time; each gets its share of the threads.
    progress
        Called per training that is finished.

    Raises
    ------
    RunError
        The name is taken by another question, or a training was stopped.
    RunBusyError
        Another process works on it.
    MGMTLabError
        What kept a run from being trained.
    """
    folder = _open_folder(settings, config, source, name)
    names = [OBSERVED, *(f"shuffle-{number:04d}" for number in range(1, reruns + 1))]
    each = replace(settings, threads=max(1, settings.threads // jobs))
    tasks = [(folder / "runs" / member, each, config, _source_of(source, member)) for member in names]
    figures: dict[str, Figure] = {}
    with hold_lock(folder / ".lock", f"{name} is being worked on by another process; wait until it has finished."):
        for done, (member, figure) in enumerate(run_tasks(_train_member, tasks, jobs=jobs, ordered=False), start=1):
            figures[member] = figure
            progress(done, len(tasks), member)
    null = [figures[member].value for member in names[1:]]
    test = PermutationTest(
        name=name,
        observed=figures[OBSERVED],
        null=tuple(value for value in null if value is not None),
        leaky=config.split.split_unit == "slice",
    )
    write_atomic(folder / RESULT, json.dumps(test.to_dict(), indent=1))
    return test


def list_permutations(settings: Settings) -> list[dict[str, Any]]:
    """What finished permutation tests found, newest first, as ``permute --json`` prints it."""
    files = sorted(settings.experiments.glob(f"*/{RESULT}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [found for path in files if (found := read_permutation(path.parent)) is not None]


def read_permutation(folder: Path) -> dict[str, Any] | None:
    """The stored result of one test, or None where there is none or it is damaged."""
    try:
        content = json.loads((folder / RESULT).read_text())
        return content if {"observed", "null", "p", "name"} <= set(content) else None
    except (OSError, ValueError, TypeError):
        return None


def _open_folder(settings: Settings, config: RunConfig, source: DataSource, name: str) -> Path:
    if not NAME_PATTERN.fullmatch(name):
        raise RunError(f"{name!r} cannot name a permutation test; use letters, digits, dots, dashes and underscores.")
    folder = settings.experiments / name
    config, source = with_absolute_paths(config, source)
    plan = {"config": config.model_dump(mode="json"), "source": source.model_dump(mode="json")}
    if (folder / PLAN).exists():
        if json.loads((folder / PLAN).read_text()) != plan:
            raise RunError(f"{name} is a permutation test of another configuration or other data; choose another name.")
    elif folder.exists():
        raise RunError(f"{folder} holds something else; choose another name.")
    else:
        write_atomic(folder / PLAN, json.dumps(plan, indent=1))
    return folder


def _source_of(source: DataSource, member: str) -> DataSource:
    seed = None if member == OBSERVED else int(member.rpartition("-")[2])
    return source.model_copy(update={"shuffle_seed": seed})


def _train_member(folder: Path, settings: Settings, config: RunConfig, source: DataSource) -> tuple[str, Figure]:
    run = RunFolder(folder)
    if not folder.exists():
        run = RunFolder.create(settings, config, source, folder=folder, state="stopped")
    if run.status().state != "finished":
        train(run, settings)
    if run.status().state != "finished":
        raise RunError(f"{run.name} was stopped; give the same command again to go on.")
    if run.name != OBSERVED:
        _forget_weights(run)
    return run.name, _figure_of(run)


def _forget_weights(run: RunFolder) -> None:
    for path in (run.checkpoint, run.path / "predictions.parquet"):
        path.unlink(missing_ok=True)


def _figure_of(run: RunFolder) -> Figure:
    records = run.epochs()
    best = next(record for record in reversed(records) if record.best)
    sizes: Sequence[int] = run.environment().get("sizes", {}).get("val", {}).get("per_class", [])
    patients = int(run.environment().get("sizes", {}).get("val", {}).get("patients", sum(sizes)))
    return Figure(
        value=best.val_patient_auroc,
        low=best.val_patient_auroc_low,
        high=best.val_patient_auroc_high,
        n=patients,
        method="DeLong on the logit scale, continuity-corrected; the best epoch on the patients that chose it",
    )
