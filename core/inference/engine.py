"""What runs a checkpoint's network on prepared images: PyTorch, or onnxruntime where an exported graph lies beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn

Captured = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Activations and gradients of a layer, each (n, channels, ...); one pair for each of several streams."""
Coarse = dict[tuple[str, str], list[NDArray[np.float32]]]
"""Maps by method and layer, as small as the layer is: an array (n, ...) for each stream."""


class Engine(ABC):
    """A network that is ready to run; the caller sees to it that one thread does at a time."""

    runtime: str
    """"torch", "bf16" (PyTorch in bfloat16) or "onnx"."""

    @abstractmethod
    def score(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes) of prepared examples (n, ...)."""

    @abstractmethod
    def capture(self, pixels: NDArray[np.uint8], layers: Sequence[str], target: int) -> dict[str, Captured]:
        """Return each layer's activations, and their gradients of the log-odds of a class; one pass serves all layers.

        Parameters
        ----------
        pixels
            Prepared examples (n, ...).
        layers
            Names of layers; a "*" stands for each of several streams.
        target
            The class; its log-odds are its logit less the logarithm of the other classes' summed exponentials.
        """

    def recall(self, pixels: NDArray[np.uint8], wanted: Sequence[tuple[str, str]], target: int) -> Coarse | None:
        """Return the maps of examples by methods and layers where they are known without a pass; the others are as above."""
        return None

    @property
    def model(self) -> nn.Module:
        """The network as a module; raises CheckpointError where PyTorch does not run it."""
        raise CheckpointError(f"This looks into the network itself, which {self.runtime} cannot; use --runtime torch.")

    def uncrop(self, pixels: NDArray[np.uint8], maps: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Put maps of a part of each volume back to its place; None where the network classifies the whole."""
        return None
