"""What a cross-validation asks: how the patients are dealt out, how often, and which configurations are compared."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from core.config import RunConfig
from core.errors import ConfigError
from core.experiments.controls.specification import SpecificationParameters, list_cells

KIND = "cross_validation"
MOST_MEMBERS = 2000


class CrossValidationParameters(BaseModel):
    """How the patients are dealt out, how often, and what is compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: int = Field(default=5, ge=2, le=100)
    """Parts of the patients; each is evaluated once in a repeat."""
    seeds: int = Field(default=1, ge=1, le=100)
    """Repeats, each with partitions, initial weights and batch order of its own."""
    inner_folds: int = Field(default=1, ge=1, le=20)
    """Within the patients outside a fold: 1 holds a share of them out (val_fraction), more compares candidates over so many inner folds."""
    vary: dict[str, list[str]] = Field(default={})
    """Settings with the values to try, as --set takes them; every combination is a candidate. Empty: one configuration."""


def list_candidates(config: RunConfig, parameters: CrossValidationParameters) -> list[tuple[dict[str, str], RunConfig]]:
    """Return each candidate's choices and configuration, the first value of each setting first.

    Raises
    ------
    ConfigError
        A setting or value does not exist, a value stands twice, the split is varied, or there are too many trainings.
    """
    by_patient = config.model_copy(update={"split": config.split.model_copy(update={"split_unit": "patient"})})
    if not parameters.vary:
        return [({}, by_patient)]
    candidates = list_cells(by_patient, SpecificationParameters(vary=parameters.vary))
    total = len(candidates) * parameters.folds * parameters.seeds * parameters.inner_folds
    if total > MOST_MEMBERS:
        raise ConfigError(
            f"These are {total} trainings; {MOST_MEMBERS} at most: vary less, or choose fewer folds or seeds."
        )
    return candidates


def count_members(parameters: CrossValidationParameters) -> int:
    """How many trainings it takes."""
    candidates = int(np.prod([len(values) for values in parameters.vary.values()], initial=1))
    return candidates * parameters.folds * parameters.seeds * parameters.inner_folds
