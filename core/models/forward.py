"""Run a network over prepared pictures: device, precision, normalisation, memory format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.config import RunConfig

if TYPE_CHECKING:
    import torch
    from torch import nn

    from core.models.registry import Architecture

__all__ = ["Compute", "choose_compute", "score_pictures", "to_input"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Where and how numbers are computed; recorded in environment.json."""

    device: str
    precision: str
    """"float32" or "bfloat16" (autocast)."""
    channels_last: bool


def choose_compute(config: RunConfig) -> Compute:
    """Resolve 'auto' device and precision for this machine; raises ConfigError for a device that is not there."""
    raise NotImplementedError


def to_input(pictures: torch.Tensor, architecture: Architecture, compute: Compute) -> torch.Tensor:
    """uint8 or 0..255 float (n, size, size) -> normalised float (n, 3, size, size) on the device."""
    raise NotImplementedError


def score_pictures(
    model: nn.Module, pictures: NDArray[np.uint8], architecture: Architecture, compute: Compute, batch_size: int = 64
) -> NDArray[np.float32]:
    """Logits (n, classes) of (n, size, size) pictures, in eval mode and without gradients; the mode is restored."""
    raise NotImplementedError
