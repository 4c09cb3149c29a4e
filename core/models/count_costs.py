"""Count what networks cost; ``python -m core.models.count_costs`` writes the shipped table."""

from __future__ import annotations

import json

import torch
from torch.utils.flop_counter import FlopCounterMode

from core.models.costs import COSTS_FILE, Cost
from core.models.registry import ARCHITECTURES, Architecture

VIDEO_SIDES = (16, 112, 112)
IMAGE_SIDES = (224, 224)


def count_cost(architecture: Architecture) -> Cost:
    """Build a network without memory (torch's meta device) and count what one example costs."""
    usual = VIDEO_SIDES if architecture.input_form == "volume" else IMAGE_SIDES
    shape = (architecture.channels, *(architecture.cost_sides or usual))
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


if __name__ == "__main__":
    table = {name: count_cost(entry).model_dump() for name, entry in ARCHITECTURES.items()}
    COSTS_FILE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
