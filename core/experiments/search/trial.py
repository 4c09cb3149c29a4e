"""One trial of a search: an ordinary run that reports its validation curve, and may be ended early by it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.config import RunConfig
from core.dataset.split import Split
from core.errors import RunError
from core.evaluation.figure import Figure
from core.runs.folder import RunFolder, with_absolute_paths
from core.runs.records import DataSource, EpochRecord
from core.settings import Settings
from core.training.trainer import train

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """What a trial trains."""

    run: str
    """The run's name."""
    config: RunConfig
    source: DataSource
    split: Split
    note: str


def direction_of(config: RunConfig) -> Literal["minimize", "maximize"]:
    """Whether the figure that selects is to be large ("maximize") or small ("minimize"), as optuna says it."""
    return "minimize" if config.select_on == "val_loss" else "maximize"


def value_of(record: EpochRecord, config: RunConfig) -> float | None:
    """The epoch's figure by which trials are compared; None where there is no AUROC."""
    figures = {
        "val_loss": record.val_loss,
        "val_accuracy": record.val_accuracy,
        "val_patient_auroc": record.val_patient_auroc,
    }
    return figures[config.select_on]


def best_figure(run: RunFolder) -> Figure:
    """The AUROC by patient of a run's best epoch, on the validation patients that chose it."""
    best = next(record for record in reversed(run.epochs()) if record.best)
    return Figure(
        value=best.val_patient_auroc,
        low=best.val_patient_auroc_low,
        high=best.val_patient_auroc_high,
        n=int(run.environment().get("sizes", {}).get("val", {}).get("patients", 0)),
        method="DeLong on the logit scale, continuity-corrected; the best epoch on the patients that chose it",
    )


def train_trial(
    trial: optuna.trial.Trial,
    plan: TrialPlan,
    settings: Settings,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
    reporting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> float | None:
    """Train a trial's run to its end, or until the pruner has seen enough; what an earlier attempt trained is kept.

    Parameters
    ----------
    trial
        Gets the figure of every epoch, and says when to end.
    plan, settings
        The run; where runs and the cache live.
    on_epoch
        Called with each epoch that is trained here.
    reporting
        Entered whenever the trial is told or asked something: where errors of its storage are put into words.

    Returns
    -------
    float or None
        The figure of the best epoch; None where the trial was pruned.

    Raises
    ------
    KeyboardInterrupt
        Somebody stopped the run; it can be gone on with.
    RunError
        It cannot be trained, or it has no figure to be compared by.
    MGMTLabError
        Whatever else keeps a run from being trained.
    """
    run = _open_run(plan, settings)
    known = run.epochs()
    seen = {record.epoch for record in known}

    def shall_end(record: EpochRecord, *, anew: bool) -> bool:
        """Report an epoch, and ask whether the trial is worth going on with."""
        value = value_of(record, plan.config)
        if value is None or (anew and record.epoch in seen):
            return False
        with reporting():
            trial.report(value, record.epoch)
            return record.epoch < plan.config.epochs and trial.should_prune()

    def follow(record: EpochRecord) -> None:
        on_epoch(record)
        if shall_end(record, anew=True):
            pruned_at.append(record.epoch)
            run.ask_to_stop()

    verdicts = [shall_end(record, anew=False) for record in known]
    pruned_at = [known[-1].epoch] if verdicts and verdicts[-1] else []
    run.clear_stop()  # what was asked for before this attempt
    if not pruned_at and run.status().state != "finished":
        train(run, settings, on_epoch=follow)
    if pruned_at:
        _say_pruned(run, pruned_at[-1])
        return None
    if run.status().state != "finished":
        raise KeyboardInterrupt
    return _best_value(run, plan.config)


def _open_run(plan: TrialPlan, settings: Settings) -> RunFolder:
    run = RunFolder(settings.runs / plan.run)
    if not run.path.exists():
        return RunFolder.create(
            settings, plan.config, plan.source, plan.run, note=plan.note, state="stopped", split=plan.split
        )
    planned = with_absolute_paths(plan.config, plan.source)
    if (run.config, run.source) != planned or run.split() != plan.split:
        raise RunError(f"{run.path} is another run; choose another name for the search with --name.")
    return run


def _best_value(run: RunFolder, config: RunConfig) -> float:
    best = next(record for record in reversed(run.epochs()) if record.best)
    value = value_of(best, config)
    if value is None:
        raise RunError(f"{run.name} has no AUROC: its validation patients are of one class. Validate on more patients.")
    return value


def _say_pruned(run: RunFolder, epoch: int) -> None:
    with run.lock():
        message = (
            f"Pruned after epoch {epoch}: its best epoch so far was below the median of the finished trials at that "
            "epoch. Its curve and best weights are kept; resumed, it begins anew."
        )
        run.write_status(run.status().model_copy(update={"state": "stopped", "message": message}))
        run.resume_file.unlink(missing_ok=True)  # three times the network's size
