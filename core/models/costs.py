"""What a network costs for one example: parameters and multiply-adds.

The costs of the networks that come with the project are shipped, so that the Models page needs no torch; ``make costs``
counts them anew, and a test compares the shipped ones with the networks (:mod:`core.models.count_costs`).
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict

COSTS_FILE = Path(__file__).with_name("costs.json")


class Cost(BaseModel):
    """The cost of one example."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_shape: tuple[int, ...]
    """Channels, (depth,) rows and columns of the example."""
    parameters: int
    """Weights that training can change, with two outputs."""
    multiply_adds: int
    """Of convolutions and linear layers; what else there is (normalisation, pooling) is not counted, as is usual."""


def read_costs() -> dict[str, Cost]:
    """Read the shipped table: one cost by architecture name."""
    content = json.loads(COSTS_FILE.read_text(encoding="utf-8"))
    return {name: Cost.model_validate(cost) for name, cost in content.items()}
