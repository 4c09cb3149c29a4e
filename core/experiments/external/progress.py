"""How far an external validation is, from its folder."""

from __future__ import annotations

from pathlib import Path

from core.experiments.external.parameters import ExternalParameters, cohort_names
from core.jobs.experiment import Experiment


def kept_at(experiment: Experiment, number: int) -> Path:
    """Return where what was found on a cohort is kept; 1 is the first."""
    return experiment.folder / "cohorts" / f"{number:02d}.json"


def count_evaluated(experiment: Experiment) -> tuple[int, int, str]:
    """Return how many cohorts are evaluated, of how many, and the name of the next.

    Raises
    ------
    RunError
        The question is damaged.
    """
    names = cohort_names(ExternalParameters(**experiment.question().parameters).cohorts)
    done = sum(kept_at(experiment, number).exists() for number in range(1, len(names) + 1))
    return done, len(names), names[min(done, len(names) - 1)]
