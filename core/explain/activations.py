"""Activations and gradients of layers from one forward and backward pass, and the maps that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytorch_grad_cam
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients
from torch import nn

from core.inference.predict import Predictor
from core.models.forward import evaluating, to_input


def capture(
    predictor: Predictor, pixels: NDArray[np.uint8], layers: Sequence[str], target: int
) -> tuple[torch.Tensor, dict[str, ActivationsAndGradients]]:
    """Return a network's inputs, and each layer's activations and gradients of the log-odds of a class.

    One pass serves all layers. Call it inside :func:`frozen`.

    Parameters
    ----------
    predictor
        Whose network; the caller holds its lock.
    pixels
        (n, ...), as in :class:`core.data.prepare.examples.PreparedSeries`.
    layers
        Names of layers; a "*" stands for each of several streams, which then have an array each.
    target
        The class; its log-odds are its logit less the logarithm of the other classes' summed exponentials.
    """
    captured = {name: ActivationsAndGradients(predictor.model, _find_modules(predictor, name), None) for name in layers}
    try:
        inputs = to_input(torch.from_numpy(np.array(pixels)), predictor.architecture, predictor.compute)
        inputs = inputs.float().requires_grad_()
        with torch.enable_grad():
            logits = predictor.model(inputs)
            others = [index for index in range(logits.shape[1]) if index != target]
            (logits[:, target] - logits[:, others].logsumexp(dim=1)).sum().backward()
    finally:
        for one in captured.values():
            for handle in one.handles:  # release() would also empty what was captured
                handle.remove()
    return inputs.detach(), captured


def draw_maps(
    predictor: Predictor, inputs: torch.Tensor, captured: ActivationsAndGradients, implementation: str, streams: bool
) -> NDArray[np.float32]:
    """Return the maps that a method of pytorch_grad_cam makes of a layer, cut at zero and enlarged to the examples.

    Of shape (n, size, size), of volumes (n, depth, size, size), of `streams` with a layer each (n, streams, size, size).
    """
    method = getattr(pytorch_grad_cam, implementation)(predictor.model, [])
    coarse = [
        method.get_cam_image(inputs, None, None, activations.numpy(), gradients.numpy(), False)
        for activations, gradients in zip(captured.activations, captured.gradients, strict=True)
    ]
    maps = [torch.from_numpy(np.maximum(part, 0).astype(np.float32)) for part in coarse]
    if predictor.architecture.input_form == "volume":
        return _enlarge_volume(predictor.model, inputs, maps[0]).numpy()
    size = inputs.shape[-2:]
    enlarged = nn.functional.interpolate(torch.stack(maps, dim=1), size, mode="bilinear", align_corners=False)
    return (enlarged if streams else enlarged[:, 0]).numpy()


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


def _find_modules(predictor: Predictor, name: str) -> list[nn.Module]:
    count = predictor.architecture.channels if "*" in name else 1
    return [predictor.model.get_submodule(name.replace("*", str(number))) for number in range(count)]


def _enlarge_volume(model: nn.Module, inputs: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """Enlarge maps to volumes (n, depth, size, size).

    A slicewise network gives a map for each slice, one after the other; one that classifies a part of the volume puts the
    map back to its place (``uncrop``).
    """
    sides = inputs.shape[2:]
    if coarse.ndim == 3:
        coarse = coarse.view(len(inputs), sides[0], *coarse.shape[1:])
    uncrop: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = getattr(model, "uncrop", None)
    if uncrop is not None:
        return uncrop(inputs, coarse)
    return nn.functional.interpolate(coarse[:, None], sides, mode="trilinear", align_corners=False)[:, 0]
