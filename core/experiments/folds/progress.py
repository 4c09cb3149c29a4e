"""Cross-validations on the disk: which there are, and how far one is, from its folder alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.config import parse_config
from core.experiments.folds.cross_validation import KIND, CrossValidationParameters, count_members, list_candidates
from core.runs.folder import RunFolder
from core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldProgress:
    """How far a cross-validation is, all trainings together."""

    epochs_done: int
    epochs: int
    finished: int
    trainings: int
    training: tuple[str, ...]
    """Members that some process works on."""
    seconds_left: float | None
    """From the epochs' time so far, and how many train at once; None before the first epoch."""

    @property
    def share(self) -> float:
        """0..1."""
        return min(1.0, self.epochs_done / max(1, self.epochs))


def list_cross_validations(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """Every cross-validation that was begun, with its question, newest first."""
    found = []
    for path in settings.experiments.glob("*/question.json"):
        question = _read(path)
        if question.get("kind") == KIND:
            found.append((str(question.get("created", "")), path.parent.name, question))
    return [(name, question) for _, name, question in sorted(found, key=lambda one: one[:2], reverse=True)]


def read_answer(settings: Settings, name: str) -> dict[str, Any] | None:
    """What a cross-validation found, as its command prints it, or None before it has finished."""
    return _read(settings.experiments / name / "result.json") or None


def measure_progress(settings: Settings, name: str, question: dict[str, Any]) -> FoldProgress:
    """Count finished epochs over all members' folders.

    Raises
    ------
    ConfigError
        The question is damaged.
    """
    config = parse_config(question["config"])
    parameters = CrossValidationParameters(**question["parameters"])
    repeats = parameters.folds * parameters.seeds * parameters.inner_folds
    epochs = repeats * sum(candidate.epochs for _, candidate in list_candidates(config, parameters))
    done, finished, seconds, timed = 0, 0, 0.0, 0
    training = []
    for path in sorted((settings.experiments / name).glob("runs/*/")):
        run = RunFolder(path)
        records = run.epochs()
        done += len(records)
        seconds += sum(record.seconds for record in records)
        timed += len(records)
        state = run.status().state
        finished += state == "finished"
        if state == "running":
            training.append(run.name)
    left = seconds / timed * (epochs - done) / max(1, len(training)) if timed else None
    return FoldProgress(
        epochs_done=done,
        epochs=epochs,
        finished=finished,
        trainings=count_members(parameters),
        training=tuple(training),
        seconds_left=left,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
