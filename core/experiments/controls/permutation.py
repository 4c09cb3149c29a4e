"""The permutation test of a training run: trained again and again with labels shuffled by patient.

Everything that chose anything is repeated: the split, the training, the choice of the best epoch. The figure is the AUROC
by patient of the best epoch on the validation patients. It is optimistic, because they chose the epoch; but each shuffle
is optimistic in the same way, so the comparison is fair, and nobody looks at the test patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.config import RunConfig
from core.errors import RunError
from core.evaluation.figure import Figure
from core.experiments.controls.linear_head import permutation_p
from core.experiments.evidence import list_answers
from core.jobs.foreground import STOP, run_experiment
from core.parallel import run_tasks
from core.progress import Progress, silent
from core.runs.folder import RunFolder, with_absolute_paths
from core.runs.records import DataSource
from core.settings import Settings
from core.training.trainer import train

KIND = "permutation"
"""Of the experiment, as in its question.json."""
OBSERVED = "observed"


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

    @property
    def sentence(self) -> str:
        """What was found, for a claim sheet."""
        observed = "none" if self.observed.value is None else f"{self.observed.value:.3f}"
        return (
            f"p = {self.p_value:.3f}: AUROC by patient {observed} on validation patients (n = {self.observed.n}), among "
            f"{len(self.null)} trainings with labels shuffled by patient"
        )

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
            "sentence": self.sentence,
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
    behind_queue: bool = False,
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
    behind_queue
        Wait until the queue of runs is empty, and let no queued run begin meanwhile.

    Raises
    ------
    ConfigError
        The name is taken by another question.
    RunBusyError
        Another process works on it.
    KeyboardInterrupt
        Somebody asked it to stop.
    MGMTLabError
        What kept a run from being trained.
    """
    config, source = with_absolute_paths(config, source)
    folder = settings.experiments / name
    question = {
        "kind": KIND,
        "parameters": {},
        "config": config.model_dump(mode="json"),
        "source": source.model_dump(mode="json"),
    }
    tests: list[PermutationTest] = []

    def conduct(_: object) -> dict[str, Any]:
        tests.append(_conduct(folder, settings, config, source, reruns, jobs, progress))
        return tests[0].to_dict()

    run_experiment(settings, name, question, conduct, source, behind_queue=behind_queue)
    return tests[0]


def list_permutations(settings: Settings) -> list[dict[str, Any]]:
    """What finished permutation tests found, newest first, as ``permute --json`` prints it."""
    return [result for _, _, result in list_answers(settings, KIND)]


def _conduct(
    folder: Path,
    settings: Settings,
    config: RunConfig,
    source: DataSource,
    reruns: int,
    jobs: int,
    progress: Progress,
) -> PermutationTest:
    names = [OBSERVED, *(f"shuffle-{number:04d}" for number in range(1, reruns + 1))]
    each = replace(settings, threads=max(1, settings.threads // jobs))
    tasks = [(folder / "runs" / member, each, config, _source_of(source, member)) for member in names]
    figures: dict[str, Figure] = {}
    for done, (member, figure) in enumerate(run_tasks(_train_member, tasks, jobs=jobs, ordered=False), start=1):
        if figure is None:
            raise KeyboardInterrupt
        figures[member] = figure
        progress(done, len(tasks), member)
    null = [figures[member].value for member in names[1:]]
    return PermutationTest(
        name=folder.name,
        observed=figures[OBSERVED],
        null=tuple(value for value in null if value is not None),
        leaky=config.split.split_unit == "slice",
    )


def _source_of(source: DataSource, member: str) -> DataSource:
    seed = None if member == OBSERVED else int(member.rpartition("-")[2])
    return source.model_copy(update={"shuffle_seed": seed})


def _train_member(folder: Path, settings: Settings, config: RunConfig, source: DataSource) -> tuple[str, Figure | None]:
    """Train one, or read it where it is trained; no figure where somebody asked to stop."""
    run = RunFolder(folder)
    if (folder.parent.parent / STOP).exists():
        return run.name, None
    if not folder.exists():
        run = RunFolder.create(settings, config, source, folder=folder, state="stopped")
    if run.status().state != "finished":
        train(run, settings)
    status = run.status()
    if status.state == "stopped":
        return run.name, None
    if status.state != "finished":
        raise RunError(f"{run.name} ended as {status.state}: {status.message}")
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
