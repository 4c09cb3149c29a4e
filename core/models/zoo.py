"""The presets' networks side by side: what goes in, what they cost, and what the paper says they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from core.models.costs import Cost, read_costs
from core.models.registry import Architecture, find_architecture
from core.presets import PRESETS

FIGURE_2: Mapping[str, float] = {"resnet18": 1.8, "resnet34": 3.6, "resnet50": 3.8, "resnet101": 7.6, "resnet152": 11.3}
"""Multiply-adds in 10^9 as the paper's Figure 2 has them, from He et al. (2016)."""

NOTES: Mapping[str, str] = dict.fromkeys(
    ("resnet50", "resnet101", "resnet152"),
    "torchvision's form of the network: where the resolution is halved, its 3 x 3 convolution strides, not the "
    "1 x 1 before it, which costs more than the figure's",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooRow:
    """One preset's network."""

    preset: str
    title: str
    after: str
    """The published method that it follows."""
    architecture: str
    network: str
    input_form: str
    input_shape: tuple[int, ...]
    """Of one example: channels, (depth,) rows, columns."""
    parameters: int
    multiply_adds: int
    paper_multiply_adds: float | None
    """In 10^9, as the paper's Figure 2 has it; None where it says nothing."""
    pretrained: str | None
    """Weights it can start from, by their name in torchvision."""
    note: str

    def to_dict(self) -> dict[str, Any]:
        """As ``models --json`` prints it."""
        return {**asdict(self), "input_shape": list(self.input_shape)}


def list_zoo() -> list[ZooRow]:
    """List every preset with its network and its cost."""
    rows = []
    for preset in PRESETS.values():
        entry = find_architecture(preset.config.architecture)
        cost = find_cost(entry)
        rows.append(
            ZooRow(
                preset=preset.name,
                title=preset.title,
                after=preset.after,
                architecture=entry.name,
                network=entry.title,
                input_form=entry.input_form,
                input_shape=cost.input_shape,
                parameters=cost.parameters,
                multiply_adds=cost.multiply_adds,
                paper_multiply_adds=FIGURE_2.get(entry.name),
                pretrained=entry.pretrained,
                note=NOTES.get(entry.name, ""),
            )
        )
    return rows


def find_cost(architecture: Architecture) -> Cost:
    """Return what a network costs: from the shipped table, or counted from the network itself where it is not there."""
    shipped = read_costs().get(architecture.name)
    if shipped is not None:
        return shipped
    from core.models.count_costs import count_cost

    return count_cost(architecture)
