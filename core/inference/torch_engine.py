"""PyTorch as the engine of predictions and maps: any checkpoint, on the best device there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.config import apply_settings
from core.errors import ConfigError
from core.inference.engine import Captured, Engine
from core.models.checkpoint import load_model
from core.models.forward import Compute, choose_compute, evaluating, place_model, score_images, to_input
from core.models.registry import Architecture, find_architecture, list_modules


class TorchEngine(Engine):
    """A network in eval mode, in float32 unless bfloat16 was asked for; its maps are in float32 always."""

    def __init__(self, model: nn.Module, architecture: Architecture, compute: Compute) -> None:
        self.network, self.architecture, self.compute = model, architecture, compute
        self.runtime = "torch" if compute.precision == "float32" else "bf16"

    @classmethod
    def load(cls, path: Path, threads: int | None = None, precision: str = "float32") -> TorchEngine:
        """Load a checkpoint, and give PyTorch so many threads.

        Raises
        ------
        CheckpointError
            It is damaged.
        ConfigError
            This machine, or this network, is not to be computed in bfloat16.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        model, card = load_model(path)
        # The answer must not depend on what the training machine was good at; "auto" is bfloat16 only where that gains.
        asked = {"device": "auto", "precision": "float32" if precision == "float32" else "auto"}
        compute = choose_compute(apply_settings(card.config, asked))
        if compute.precision != precision:
            raise ConfigError(
                f"{card.config.architecture} is not computed in bfloat16 on this machine: that takes a processor with AMX or "
                "AVX512_BF16, or a GPU since Ampere, and on processors a network without 3-D convolutions. Leave --bf16 out."
            )
        return cls(place_model(model, compute), find_architecture(card.config.architecture), compute)

    @property
    def model(self) -> nn.Module:
        """The network, on ``compute.device``."""
        return self.network

    def score(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :meth:`Engine.score`."""
        return score_images(self.network, pixels, self.architecture, self.compute)

    def capture(self, pixels: NDArray[np.uint8], layers: Sequence[str], target: int) -> dict[str, Captured]:
        """See :meth:`Engine.capture`; the network is left as it was (mode, gradients, hooks)."""
        inputs = to_input(torch.from_numpy(np.array(pixels)), self.architecture, self.compute)

        def odds(logits: torch.Tensor) -> torch.Tensor:
            others = [index for index in range(logits.shape[1]) if index != target]
            return logits[:, target] - logits[:, others].logsumexp(dim=1)

        names = {layer: list_modules(self.architecture, layer) for layer in layers}
        with frozen(self.network), torch.enable_grad():
            places = [name for several in names.values() for name in several]
            kept, gradients = differentiate(self.network, inputs.requires_grad_(), places, odds)
        pairs = {
            name: (one.detach().cpu().numpy(), other.cpu().numpy())
            for name, one, other in zip(places, kept, gradients, strict=True)
        }
        return {layer: [pairs[name] for name in several] for layer, several in names.items()}

    def uncrop(self, pixels: NDArray[np.uint8], maps: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """See :meth:`Engine.uncrop`."""
        undo = getattr(self.network, "uncrop", None)
        if undo is None:
            return None
        inputs = to_input(torch.from_numpy(np.array(pixels)), self.architecture, self.compute)
        laid: NDArray[np.float32] = undo(inputs, torch.from_numpy(maps).to(inputs.device)).cpu().numpy()
        return laid


def differentiate(
    model: nn.Module, inputs: torch.Tensor, names: Sequence[str], explained: Callable[[torch.Tensor], torch.Tensor]
) -> tuple[list[torch.Tensor], tuple[torch.Tensor, ...]]:
    """Return the outputs of the modules of these names, and the gradients with respect to them of what is explained.

    The inputs must ask for gradients; `explained` makes one number for each example of the logits (n, classes).
    """
    kept: dict[str, torch.Tensor] = {}

    def keep(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(module: nn.Module, arguments: object, output: torch.Tensor) -> None:
            kept[name] = output

        return model.get_submodule(name).register_forward_hook(hook)

    handles = [keep(name) for name in dict.fromkeys(names)]
    try:
        logits = model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    outputs = [kept[name] for name in names]
    return outputs, torch.autograd.grad(explained(logits).sum(), outputs)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Put a network into eval mode and its weights beyond gradients; restore modes and flags afterwards."""
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with evaluating(model):
        try:
            model.requires_grad_(False)
            yield
        finally:
            for parameter, flag in flags:
                parameter.requires_grad_(flag)
