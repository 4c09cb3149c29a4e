"""How far a cross-validation is, from the folders of its members."""

from __future__ import annotations

from dataclasses import dataclass

from core.experiments.folds.candidates import CrossValidationParameters, count_members, list_candidates
from core.jobs.experiment import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldProgress:
    """How far a cross-validation is, all trainings together."""

    epochs_done: int
    epochs: int
    finished: int
    trainings: int
    training: tuple[str, ...]
    """Members in training."""
    seconds_left: float | None
    """From the epochs' time so far, and how many train at once; None before the first epoch."""

    @property
    def share(self) -> float:
        """0..1."""
        return min(1.0, self.epochs_done / max(1, self.epochs))


def measure_progress(experiment: Experiment) -> FoldProgress:
    """Count finished epochs over all members' folders.

    Raises
    ------
    RunError
        The question is damaged.
    """
    question = experiment.question()
    parameters = CrossValidationParameters(**question.parameters)
    repeats = parameters.folds * parameters.seeds * parameters.inner_folds
    epochs = repeats * sum(candidate.epochs for _, candidate in list_candidates(question.config, parameters))
    done, finished, seconds, timed = 0, 0, 0.0, 0
    training = []
    for run in experiment.members():
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
