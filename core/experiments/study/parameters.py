"""What a whole study asks, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from core.config import RunConfig, apply_settings
from core.runs.records import DataSource

KIND = "study"
POSITIVE = "positive_control"
Size = Literal["tiny", "small", "full"]


class PositiveParameters(BaseModel):
    """Which other target, and how often the patients are dealt out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str | None = None
    """Column of the label table; None takes a synthetic cohort's second trait."""
    positive: str | None = None
    """Its positive value."""
    cutoff: float | None = None
    """Of a column of numbers: from here on they are positive."""
    labels: str | None = None
    """The table; by default the cohort's own."""
    folds: int = Field(default=5, ge=2, le=100)
    """Of the cross-validation by patient."""

    def apply(self, source: DataSource) -> DataSource:
        """Return the same persons with the other target."""
        changes = {"target": self.target, "positive": self.positive, "cutoff": self.cutoff}
        return source.model_copy(update={**changes, "labels": self.labels or source.labels})


class StudyParameters(BaseModel):
    """What a whole study asks beside its configuration and cohort."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Size = "small"
    """How much is repeated."""
    external: tuple[DataSource, ...] = ()
    """Other cohorts, for the external validation."""
    control_target: str | None = None
    """The positive control's column; None takes a synthetic cohort's second trait."""
    control_positive: str | None = None
    control_cutoff: float | None = None
    """Its positive value, or its cut-off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much a size repeats, and what it changes of the configuration."""

    folds: int
    shuffles: int
    """Trainings of the permutation test with shuffled labels."""
    seeds: int
    """Trainings of the optimism meter."""
    draws: int
    """Shuffles of what trains nothing."""
    joint: int = 0
    """Shuffles of the specification curve's joint test; 0 where all of its trainings would take too long for the size."""
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def trainings(self) -> int:
        """Networks that are trained: folds, shuffles with the true labels, twin, optimism, positive control, curve, the last one."""
        curve = CURVE_CELLS * (1 + self.joint) if self.joint else 0
        return 2 * self.folds + 1 + self.shuffles + 2 + self.seeds + curve + 1


CURVE = {"seed": ["0", "1"], "normalise": ["percentile", "zscore"]}
"""What the specification curve of a study varies: choices that every network has."""
CURVE_CELLS = prod(map(len, CURVE.values()))
_LIGHT = {"weights": "none", "sequences": ["T1wCE"], "batch_size": 16}
SIZES: dict[Size, Amount] = {
    "tiny": Amount(folds=2, shuffles=2, seeds=2, draws=19, joint=2, settings={
        **_LIGHT, "epochs": 1, "size_px": 32, "slice_count": 2, "test_fraction": 0.25, "val_fraction": 0.25,
    }),
    "small": Amount(folds=5, shuffles=19, seeds=3, draws=199, settings={
        **_LIGHT, "epochs": 8, "size_px": 48, "slice_count": 4,
    }),
    "full": Amount(folds=5, shuffles=99, seeds=5, draws=999, joint=19),
}  # fmt: skip
"""tiny shows that everything runs; small is meant for an hour on two cores with 120 studies, which took it 14 minutes
(docs/measured.md); full is the preset as it is."""


def size_config(config: RunConfig, size: Size) -> RunConfig:
    """Return a preset's configuration at a size; what a person sets himself comes after."""
    return apply_settings(config, SIZES[size].settings)
