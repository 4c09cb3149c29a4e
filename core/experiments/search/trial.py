"""One trial of a search: an ordinary run that reports its validation curve, and may be ended early by it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import optuna

from core.config import RunConfig
from core.errors import RunError
from core.files import remove_file
from core.jobs.member import Member, open_member, train_member
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord
from core.settings import Settings


def direction_of(config: RunConfig) -> Literal["minimize", "maximize"]:
    """Whether the figure that selects is to be large ("maximize") or small ("minimize"), as Optuna says it."""
    return "minimize" if config.select_on == "val_loss" else "maximize"


def value_of(record: EpochRecord, config: RunConfig) -> float | None:
    """The epoch's figure by which trials are compared; None where there is no AUROC."""
    figures = {
        "val_loss": record.val_loss,
        "val_accuracy": record.val_accuracy,
        "val_patient_auroc": record.val_patient_auroc,
    }
    return figures[config.select_on]


def train_trial(
    trial: optuna.trial.Trial,
    member: Member,
    settings: Settings,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
    reporting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> float | None:
    """Train a trial's run to its end, or until the pruner ends it; what an earlier attempt trained is kept.

    Parameters
    ----------
    trial
        Gets the figure of every epoch, and says when to end.
    member, settings
        The run; where runs and the cache live.
    on_epoch
        Called with each epoch that is trained here.
    reporting
        Entered whenever the trial's storage is used: it turns the storage's errors into ours.

    Returns
    -------
    float or None
        The figure of the best epoch; None where the trial was pruned.

    Raises
    ------
    KeyboardInterrupt
        Somebody stopped the run; it can be resumed.
    RunError
        It cannot be trained, or it has no figure to be compared by.
    MGMTLabError
        Whatever else keeps a run from being trained.
    """
    run = open_member(member, settings)
    known = run.epochs()
    reported = {record.epoch for record in known}

    def should_prune(record: EpochRecord, *, trained_now: bool) -> bool:
        value = value_of(record, member.config)
        if value is None or (trained_now and record.epoch in reported):
            return False
        with reporting():
            trial.report(value, record.epoch)
            return record.epoch < member.config.epochs and trial.should_prune()

    pruned_after = 0

    def prune_or_go_on(record: EpochRecord) -> None:
        nonlocal pruned_after
        on_epoch(record)
        if should_prune(record, trained_now=True):
            pruned_after = record.epoch
            run.ask_to_stop()

    decisions = [should_prune(record, trained_now=False) for record in known]
    if decisions and decisions[-1]:
        pruned_after = known[-1].epoch
    state = "stopped" if pruned_after else train_member(member, settings, on_epoch=prune_or_go_on).state
    if pruned_after:
        _mark_pruned(run, pruned_after)
        return None
    if state != "finished":
        raise KeyboardInterrupt
    return _best_value(run, member.config)


def _best_value(run: RunFolder, config: RunConfig) -> float:
    best = next(record for record in reversed(run.epochs()) if record.best)
    value = value_of(best, config)
    if value is None:
        raise RunError(f"{run.name} has no AUROC: its validation patients are of one class. Validate on more patients.")
    return value


def _mark_pruned(run: RunFolder, epoch: int) -> None:
    with run.lock():
        message = (
            f"Pruned after epoch {epoch}: its best epoch so far was below the median of the finished trials at that "
            "epoch. Its curve and best weights are kept; resumed, it starts from the first epoch."
        )
        run.write_status(run.status().model_copy(update={"state": "stopped", "message": message}))
        remove_file(run.resume_file)  # three times the network's size
