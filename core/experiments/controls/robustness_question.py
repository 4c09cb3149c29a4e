"""What a robustness sweep asks: one checkpoint, and no other of the same configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from core.experiments.external.parameters import digest_file
from core.jobs.experiment import Question, make_question
from core.runs.folder import RunFolder

KIND = "robustness"


class RobustnessParameters(BaseModel):
    """Which checkpoint is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    """Folder of its run."""
    sha256: str
    """Of its file."""


def ask_robustness(run: RunFolder) -> Question:
    """Return the question how far a run's answers move."""
    parameters = RobustnessParameters(run=str(run.path), sha256=digest_file(run.checkpoint))
    return make_question(KIND, parameters, run.config, run.source)
