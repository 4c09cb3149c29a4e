"""What a network costs, measured from the network itself: parameters and multiply-adds for one example.

``python -m core.models.measured`` measures anew and writes the shipped table, so that what shows it needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from core.models.registry import ARCHITECTURES, Architecture

COSTS_FILE = Path(__file__).with_name("measured.json")
INPUT_SIDES: Mapping[str, tuple[int, ...]] = {
    "resnet10_3d": (64, 256, 256),
    "volumetric": (32, 128, 128),
    "two_stage": (32, 128, 128),
    "attention_resnet18": (16, 224, 224),
}
"""Depth, rows and columns that a network is measured at, where they are not those its weights were trained at."""
VIDEO_SIDES = (16, 112, 112)
IMAGE_SIDES = (224, 224)


class Cost(BaseModel):
    """The cost of one example."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    input_shape: tuple[int, ...]
    """Channels, (depth,) rows and columns of the example."""
    parameters: int
    """Weights that training can change, with two outputs."""
    multiply_adds: int
    """Of convolutions and linear layers; what else there is (normalisation, pooling) is not counted, as is usual."""


def measure_cost(architecture: Architecture) -> Cost:
    """Build a network without memory (torch's meta device) and count what one example costs."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    usual = VIDEO_SIDES if architecture.input_form == "volume" else IMAGE_SIDES
    shape = (architecture.channels, *INPUT_SIDES.get(architecture.name, usual))
    with torch.device("meta"):
        model = architecture.build(2).eval()
        example = torch.zeros(1, *shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(example)
    return Cost(
        input_shape=shape,
        parameters=sum(weight.numel() for weight in model.parameters()),
        multiply_adds=counter.get_total_flops() // 2,  # a multiply-add counts as two there
    )


def read_costs() -> dict[str, Cost]:
    """Read the shipped table: one cost by architecture name."""
    content = json.loads(COSTS_FILE.read_text(encoding="utf-8"))
    return {name: Cost.model_validate(cost) for name, cost in content.items()}


def main() -> None:
    """Measure every network of the registry and write the table."""
    costs = {name: measure_cost(entry).model_dump() for name, entry in ARCHITECTURES.items()}
    COSTS_FILE.write_text(json.dumps(costs, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
