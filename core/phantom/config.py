"""What a synthetic cohort is, as a configuration, and the AUROC that its signal allows."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from core.errors import ConfigError

LEAST_STUDIES, LEAST_SLICES = 24, 8
"""The smallest cohort that holds all planted faults apart, and in which there is a usual value to differ from."""


class PhantomConfig(BaseModel):
    """A synthetic cohort: the same configuration gives the same files, bit for bit."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    studies: Annotated[int, Field(ge=2, le=10_000)] = 40
    """Patients; half of them methylated."""
    signal: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Distance between the two classes' biomarkers in standard deviations: 0 leaves nothing to learn, 1 allows an AUROC of 0.76, 3 of 0.98."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of everything; two seeds share no patient."""
    slices: Annotated[int, Field(ge=4, le=256)] = 24
    """Slices of each series."""
    size: Annotated[int, Field(ge=32, le=512)] = 128
    """Rows and columns of each slice."""
    shortcut: bool = False
    """Tie the scanner to the label: a header then gives the answer away, as confounded data do."""
    scale_bar: bool = False
    """Burn a scale bar into the margin of every slice of the methylated patients: pixels outside the head then give the answer away."""
    duplicates: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Patients, beyond the studies, that stand in the cohort a second time under another id."""
    faults: bool = False
    """Plant a fault of each kind in a known place (faults.json), to put an audit to the test; takes 24 studies of 8 slices."""

    @model_validator(mode="wrap")
    @classmethod
    def _tell_in_one_line(cls, data: Any, handler: ModelWrapValidatorHandler[PhantomConfig]) -> PhantomConfig:
        try:
            config = handler(data)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(step) for step in first["loc"])
            raise ConfigError(f"{name or 'PhantomConfig'}: {first['msg']}, not {first['input']!r}.") from error
        if config.duplicates > config.studies:
            raise ConfigError(f"duplicates is {config.duplicates}; at most as many as studies ({config.studies}).")
        if config.faults and (config.studies < LEAST_STUDIES or config.slices < LEAST_SLICES):
            raise ConfigError(
                f"faults need at least {LEAST_STUDIES} studies of {LEAST_SLICES} slices, not {config.studies} of {config.slices}."
            )
        return config


def best_auroc(signal: float) -> float:
    """Return the AUROC that the best possible model has in expectation: Phi(signal / sqrt 2)."""
    return 0.5 * (1 + math.erf(signal / 2))
