"""A question of several runs, answered in this process: a folder with the question, its member runs and the result."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from core.config import RunConfig, is_same_config, parse_config
from core.dataset.split import Split
from core.errors import ConfigError, MGMTLabError, RunError
from core.experiments.controls.optimism import TrainMember
from core.files import write_atomic
from core.jobs.queue import hold_queue
from core.runs.folder import NAME_PATTERN, RunFolder, now
from core.runs.lock import hold_lock
from core.runs.records import DataSource, EpochRecord
from core.settings import Settings
from core.training.trainer import train

STOP = "stop"
"""A file of this name in the folder ends the experiment before its next member."""


def run_experiment(
    settings: Settings,
    name: str,
    question: dict[str, Any],
    conduct: Callable[[TrainMember], dict[str, Any]],
    source: DataSource,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
    *,
    behind_queue: bool = False,
) -> tuple[Path, dict[str, Any]]:
    """Conduct an experiment in ``settings.experiments / name``, or go on with the one that is there.

    Parameters
    ----------
    settings, name
        Where it lives, and under which name.
    question
        What is asked: kind, parameters, configuration and data; kept as question.json.
    conduct
        Answers it, given how to train a member.
    source
        The members' data.
    on_epoch
        Called with each finished epoch of each member.
    behind_queue
        Wait until the queue of runs is empty, and let no queued run begin meanwhile.

    Returns
    -------
    tuple
        The folder, and what is in its result.json.

    Raises
    ------
    ConfigError
        Another question has that name.
    RunBusyError
        Another process is working on it.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise ConfigError(f"{name!r} cannot name an experiment; use letters, digits, dots, dashes and underscores.")
    folder = settings.experiments / name
    folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / ".lock", f"Another process is working on {name}; wait for it.", 2.0):
        _write_question(folder / "question.json", name, question)
        if not behind_queue:  # whoever starts it behind the queue has said so already, and may have stopped it since
            (folder / STOP).unlink(missing_ok=True)
        try:
            with hold_queue(settings) if behind_queue else nullcontext():
                result = conduct(member_trainer(folder, settings, source, on_epoch))
        except MGMTLabError:
            if not any(folder.glob("runs/*/")):  # A question that came to nothing does not keep its name.
                (folder / "question.json").unlink(missing_ok=True)
            raise
        write_atomic(folder / "result.json", json.dumps(result, indent=1))
    return folder, result


def member_trainer(
    folder: Path, settings: Settings, source: DataSource, on_epoch: Callable[[EpochRecord], None] = lambda record: None
) -> TrainMember:
    """Return a function that trains a member below ``folder / "runs"``: what is finished is skipped, the rest resumed."""

    def train_member(name: str, config: RunConfig, split: Split) -> RunFolder:
        if (folder / STOP).exists():
            raise KeyboardInterrupt
        run = RunFolder(folder / "runs" / name)
        if not run.path.exists():
            run = RunFolder.create(settings, config, source, folder=run.path, state="running")
            write_atomic(run.path / "split.json", split.to_json())
        if run.status().state != "finished":
            train(run, settings, on_epoch=on_epoch)
        status = run.status()
        if status.state == "stopped":
            raise KeyboardInterrupt
        if status.state != "finished":
            raise RunError(f"{run.name} ended as {status.state}: {status.message}")
        return run

    return train_member


def _write_question(path: Path, name: str, question: dict[str, Any]) -> None:
    """Write the question down, or make sure that the one that is there is the same."""
    if not path.exists():
        write_atomic(path, json.dumps({**question, "created": now()}, indent=1))
        return
    known = json.loads(path.read_text())
    # Read through the configuration, so that a setting which is newer than the question has its default.
    same = is_same_config(known["config"], parse_config(question["config"])) and all(
        known[key] == question[key] for key in ("kind", "parameters", "source")
    )
    if not same:
        raise ConfigError(f"{name} asked another question; choose another name with --name.")
