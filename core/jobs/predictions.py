"""A cohort predicted in a process of its own: a question whose answer is a table that grows study by study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from core.errors import CheckpointError
from core.files import read_document, write_atomic
from core.inference.batch import BatchResult, digest_checkpoint, predict_cohort
from core.inference.ensemble import open_predictor
from core.jobs.experiment import PREDICTIONS, Experiment, Question, make_question
from core.models.card import read_card
from core.progress import Progress
from core.runs.cohort import open_cohort
from core.runs.records import DataSource
from core.settings import Settings

TABLE = "predictions.csv"


class PredictionParameters(BaseModel):
    """Which checkpoint answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: str
    """Its file."""
    digest: str
    """Of its bytes: another training under the same name is another question."""


def cohort_source(folder: str, sequence: str | None = None, assign: Any = ()) -> DataSource:
    """Return how a cohort is read to be predicted: every session of every person."""
    return DataSource(root=folder, sequence=sequence, assign=assign, session="all")


def ask_predictions(checkpoint: Path, source: DataSource) -> Question:
    """Return the question what a checkpoint says of every study of a cohort; raises CheckpointError."""
    path = checkpoint.expanduser().resolve()
    parameters = PredictionParameters(checkpoint=str(path), digest=digest_checkpoint(path))
    return make_question(PREDICTIONS, parameters, read_card(path).config, source)


def answer_predictions(experiment: Experiment, settings: Settings, progress: Progress) -> BatchResult:
    """Predict what is missing in an experiment's table; stopped or killed, the same call resumes it.

    Raises
    ------
    RunBusyError
        Another process works on it.
    CheckpointError
        The checkpoint is not there, or another one has its name.
    ConfigError
        Scans have changed since rows of the table were written.
    DataError
        Nothing in the folder can be read.
    """
    question = experiment.question()
    parameters = PredictionParameters(**question.parameters)
    path = Path(parameters.checkpoint)
    with experiment.work(settings):
        if digest_checkpoint(path) != parameters.digest:
            raise CheckpointError(
                f"{path} is another checkpoint than when this was asked; ask again under another name."
            )
        predictor = open_predictor(path, threads=settings.threads)
        cohort = open_cohort(question.source, progress, settings)

        def count(done: int, total: int, what: str = "") -> None:
            write_atomic(experiment.folder / "progress.json", json.dumps({"done": done, "total": total}), durable=False)
            progress(done, total, what)

        table = experiment.folder / TABLE
        result = predict_cohort(predictor, cohort, table, progress=count, is_stopped=experiment.stop_file.exists)
        if not result.stopped:
            experiment.write_result(
                {
                    "studies": len(result.rows),
                    "failed": result.failed,
                    "abstained": result.abstained,
                    "notes": cohort.notes,
                }
            )
    return result


def read_progress(experiment: Experiment) -> tuple[int, int] | None:
    """Return how many studies are done, and of how many; None while the headers are read."""
    try:
        content = read_document(experiment.folder / "progress.json")
        return int(content["done"]), int(content["total"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
