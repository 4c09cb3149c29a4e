"""Where the weights start: torchvision's pretrained ones, a local file, or random by explicit choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["WeightsReport", "build_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsReport:
    """What was loaded into a new network."""

    origin: str
    """As ``CheckpointCard.weights_origin``."""
    matched: int
    """Tensors taken over."""
    missing: tuple[str, ...] = ()
    """Tensors of the network that the source lacks or that were left out on purpose (the new head)."""
    unexpected: tuple[str, ...] = ()
    """Tensors of the source that the network has no place for."""


def build_model(architecture: str, class_count: int, weights: str, seed: int) -> tuple[nn.Module, WeightsReport]:
    """Build a network and start its weights as asked; raises WeightsUnavailableError, never falls back."""
    raise NotImplementedError
