"""runs resume: resume a run, in the queue or in this process."""

from __future__ import annotations

import argparse

from core.cli.output import Outcome
from core.cli.runs.listing import describe_run, named_run
from core.cli.train import TrainingDisplay, describe_outcome, follow_training
from core.jobs.queue import resume as put_into_queue
from core.settings import Settings
from core.training.torchrun import asked_size, is_follower
from core.training.trainer import train


def resume(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Queue a run again; train it in this process under torchrun, or where it is outside the runs' home."""
    if is_follower():
        return follow_training(settings)
    run = named_run(arguments, settings)
    if asked_size() > 1 or run.path.parent != settings.runs.resolve():
        display = TrainingDisplay(run.config.epochs)
        train(run, settings, on_status=display.show_status, on_epoch=display.show_epoch)
        return describe_outcome(run)
    put_into_queue(run, settings)
    return Outcome(document=describe_run(run), lines=[f"{run.name} is in the queue again."])
