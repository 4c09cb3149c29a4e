"""The specification curve as an experiment: the same question under every combination of reasonable choices."""

from __future__ import annotations

from itertools import product

from pydantic import BaseModel, ConfigDict, Field

from core.config import RunConfig, apply_settings
from core.errors import ConfigError

KIND = "specification"
MOST_CELLS = 400


class SpecificationParameters(BaseModel):
    """Which choices are varied."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vary: dict[str, list[str]] = Field(
        default={
            "seed": ["0", "1", "2"],
            "normalise": ["percentile", "zscore"],
            "sequences": ["T1wCE", "FLAIR,T1w,T1wCE,T2w"],
            "slice_count": ["4", "8"],
        }
    )
    """Settings with the values to try, as ``--set`` takes them; every combination is trained."""
    split_seed: int = Field(default=0, ge=0)
    """Of the hold-out inside the training patients, the same for all combinations."""


def list_cells(config: RunConfig, parameters: SpecificationParameters) -> list[tuple[dict[str, str], RunConfig]]:
    """Return every combination of choices with its configuration.

    Raises
    ------
    ConfigError
        A setting or value does not exist, nothing is varied, a value stands twice, or there are more than 400
        combinations.
    """
    vary = parameters.vary
    if not vary or not all(vary.values()):
        raise ConfigError("A specification curve varies something: give each setting at least one value.")
    if {"split_seed", "split_unit", "val_fraction", "test_fraction"} & set(vary):
        raise ConfigError("The split is no choice to vary here: all combinations are evaluated on the same patients.")
    cells = [dict(zip(vary, values, strict=True)) for values in product(*vary.values())]
    if len(cells) > MOST_CELLS:
        raise ConfigError(f"These are {len(cells)} combinations; vary less, {MOST_CELLS} at most.")
    configured = [(cell, apply_settings(config, cell)) for cell in cells]
    if len({one.model_dump_json() for _, one in configured}) < len(cells):
        raise ConfigError("Two combinations are the same configuration; give each value once.")
    return configured
