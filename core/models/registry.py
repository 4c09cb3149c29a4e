"""The networks: one entry each. Adding one is one file and one entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "Architecture", "Normalisation", "find_architecture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """Per-channel mean and standard deviation of pictures scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What the rest needs to know of a network."""

    name: str
    title: str
    build: Callable[[int], nn.Module]
    """Number of classes -> network with random weights; imports torch only when called."""
    input_form: Literal["slice"]
    """"slice": (batch, 3, size, size), one grey picture repeated over three channels."""
    normalisation: Normalisation
    target_layer: str
    """Dotted name of the module whose output the maps explain."""
    head: str
    """Dotted name of the replaced classification layer; pretrained weights of it are left out."""
    pretrained: str | None
    """Name in torchvision's weights API (``ResNet18_Weights.IMAGENET1K_V1``), or None."""


ARCHITECTURES: dict[str, Architecture] = {}


def find_architecture(name: str) -> Architecture:
    """Return an architecture by name; raises ConfigError that lists those that exist."""
    raise NotImplementedError
