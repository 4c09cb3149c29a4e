"""The networks: one entry each. Adding one is one file and one entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from core.errors import ConfigError
from core.models.resnet import build_resnet

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


IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Of ImageNet's training pictures, as torchvision's weights expect them."""


def _resnet(depth: int, last_block: int) -> Architecture:
    return Architecture(
        name=f"resnet{depth}",
        title=f"ResNet-{depth}",
        build=partial(build_resnet, f"resnet{depth}"),
        input_form="slice",
        normalisation=IMAGENET,
        target_layer=f"layer4.{last_block}",
        head="fc",
        pretrained=f"ResNet{depth}_Weights.IMAGENET1K_V1",
    )


ARCHITECTURES: dict[str, Architecture] = {
    entry.name: entry for entry in (_resnet(18, 1), _resnet(34, 2), _resnet(50, 2), _resnet(101, 2), _resnet(152, 2))
}


def find_architecture(name: str) -> Architecture:
    """Return an architecture by name.

    Raises
    ------
    ConfigError
        There is none; the message lists those that exist.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise ConfigError(f"There is no architecture {name!r}; choose one of: {', '.join(ARCHITECTURES)}.") from None
