"""train: one run, in the foreground with a line per epoch, or in the queue."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.cli.config import read_config, read_source
from core.cli.config_help import describe_origin
from core.cli.output import CLEAR_LINE, INTERRUPTED, Outcome, TerminalProgress, clock_text, note
from core.cli.parser import UsageError
from core.errors import ConfigError
from core.figure_text import figure_text
from core.jobs.queue import submit
from core.models.card import read_card
from core.runs.folder import RunFolder, find_run
from core.runs.records import EpochRecord, RunStatus
from core.settings import Settings
from core.training.repeat import Plan, plan_from
from core.training.torchrun import asked_size, is_follower, local_size, resume_command
from core.training.trainer import follow, run_training


def train(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Train in this process, or hand the run to the queue."""
    if is_follower():
        return follow_training(settings)
    plan = _read_plan(arguments, settings)
    config = plan.config
    name, folder = _read_place(arguments.run)
    threads = arguments.jobs or (plan.threads and plan.threads * local_size())
    if threads:
        settings = replace(settings, threads=threads)
    for line in plan.differences:
        note(f"Since {arguments.original} was trained: {line}.")
    for line in describe_origin(config):
        note(line)
    if arguments.queue:
        if asked_size() > 1:
            raise ConfigError("The queue trains in one process; leave out --queue, or start without torchrun.")
        if folder is not None:
            raise ConfigError(f"A queued run lives in {settings.runs}; give --run a plain name instead of {folder}.")
        run = submit(
            settings, config, plan.source, name, note=arguments.note, split=plan.split,
            tensorboard=arguments.tensorboard,
        )  # fmt: skip
        document = {"run": str(run.path), "name": run.name, "state": run.status().state}
        return Outcome(document=document, lines=[f"{run.name} is in the queue; its progress: runs show {run.name}"])
    display = TrainingDisplay(config.epochs)
    run = run_training(
        settings, config, plan.source, folder, name=name, note=arguments.note, split=plan.split,
        tensorboard=arguments.tensorboard,
        on_status=display.show_status, on_epoch=display.show_epoch,
    )  # fmt: skip
    return describe_outcome(run)


def follow_training(settings: Settings) -> Outcome:
    """Train as a follower of torchrun; rank 0 prints the outcome."""
    state = follow(settings)
    return Outcome(document=None, lines=(), exit_status=INTERRUPTED if state == "stopped" else 0, silent=True)


def _read_plan(arguments: argparse.Namespace, settings: Settings) -> Plan:
    """What to train on what: named here, or as another run has it."""
    if (arguments.original is None) == (arguments.data is None):
        raise UsageError("Name either DATA, or a run to train again with --from RUN.")
    if arguments.original is not None:
        return plan_from(find_run(arguments.original, settings), arguments.settings)
    return Plan(config=read_config(arguments), source=read_source(arguments), split=None, threads=None, differences=())


def describe_outcome(run: RunFolder) -> Outcome:
    """Say how a training in the foreground ended: the best epoch's figures and where its checkpoint is."""
    status = run.status()
    checkpoint = run.checkpoint if run.checkpoint.exists() else None
    val: dict[str, Any] | None = read_card(checkpoint).metrics.get("val") if checkpoint else None
    document = {
        "run": str(run.path),
        "name": run.name,
        "state": status.state,
        "epochs": len(run.epochs()),
        "best_epoch": status.best_epoch,
        "val": val,
        "checkpoint": str(checkpoint) if checkpoint else None,
        "weights": run.environment().get("weights"),
    }
    lines = [f"{run.path}: {status.state} after {document['epochs']} of {status.epochs} epochs."]
    if val:
        lines.append(f"Best epoch {status.best_epoch}, at its threshold, on the validation patients that chose both:")
        for level, name in (("patient", "auroc"), ("slice", "accuracy"), ("slice", "majority_accuracy")):
            lines.append(f"  {name.replace('_', ' ')} by {level}: {figure_text(val[level][name])}")
        lines.append(f"Checkpoint: {checkpoint}")
    if status.state == "stopped":
        lines.append(f"Resume with: {resume_command(run.path, run.environment().get('world_size', 1))}")
    return Outcome(document=document, lines=lines, exit_status=INTERRUPTED if status.state == "stopped" else 0)


class TrainingDisplay:
    """A training on standard error: a line for each epoch, and on a terminal the step in progress below it."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.live = sys.stderr.isatty()
        self.preparing: TerminalProgress | None = None
        self.last_message = ""

    def show_status(self, status: RunStatus) -> None:
        """Show what is being done."""
        if status.phase == "preparing" and status.steps:
            self.preparing = self.preparing or TerminalProgress("preparing")
            self.preparing(status.step, status.steps, status.message)
            return
        if status.message and status.message != self.last_message and status.state == "running":
            self.last_message = status.message
            note(status.message)
        if self.live and status.phase in ("training", "validating", "finding the tumour"):
            rate = f"  {status.images_per_second:.0f} images/s" if status.images_per_second else ""
            left = f"  {clock_text(status.seconds_left)} left" if status.seconds_left is not None else ""
            line = f"epoch {status.epoch}/{status.epochs}  {status.phase} {status.step}/{status.steps}{rate}{left}"
            sys.stderr.write(f"{CLEAR_LINE}{line}")
            sys.stderr.flush()

    def show_epoch(self, record: EpochRecord) -> None:
        """Show a finished epoch."""
        auroc = "none" if record.val_patient_auroc is None else f"{record.val_patient_auroc:.3f}"
        note(
            f"epoch {record.epoch}/{self.epochs}  train loss {record.train_loss:.4f} accuracy {record.train_accuracy:.3f}  "
            f"val loss {record.val_loss:.4f} accuracy {record.val_accuracy:.3f} patient AUROC {auroc}  "
            f"{record.images_per_second:.0f} images/s{'  best' if record.best else ''}"
        )


def _read_place(run: str | None) -> tuple[str | None, Path | None]:
    """(name, None) for a plain name, (None, folder) for a path."""
    if run is None:
        return None, None
    if Path(run).name == run and run not in (".", ".."):
        return run, None
    return None, Path(run).expanduser()
