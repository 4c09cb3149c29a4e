"""A process that trains along with the one that leads (:mod:`core.training.distributed`); it writes nothing."""

from __future__ import annotations

import logging

from core.runs.records import RunState
from core.settings import Settings
from core.training.data import Task, prepare_material, receive_split
from core.training.distributed import join_world
from core.training.job import TrainingStopped
from core.training.loop import fit
from core.training.signals import stop_signals


def follow(settings: Settings) -> RunState:
    """Learn from process 0 what to train, and train it to its end; returns "finished" or "stopped".

    Raises
    ------
    LostProcessError
        Another process is gone.
    MGMTLabError
        What made this process, or another, fail.
    """
    log = logging.getLogger("mgmt_lab.follower")
    log.propagate = False
    log.addHandler(logging.NullHandler())
    with join_world() as world, stop_signals() as signalled:

        def progress(done: int, total: int, what: str = "") -> None:
            if signalled():
                raise TrainingStopped

        try:
            task = Task.model_validate_json(world.alone(str))
            cohort, table = prepare_material(task, settings, world, progress)
            split = receive_split(table, world)
            for _ in fit(task.config, table, split, cohort=cohort, stop=signalled, log=log, world=world):
                pass
        except TrainingStopped:
            return "stopped"
    return "finished"
