"""One pass to and fro through a network: what a layer said, how the answer hangs on it, and the maps made of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import nn

    from core.inference.predict import Predictor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recorded:
    """What one pass left at each place: of each of its layers the activations and the gradients, (n, channels, ...)."""

    inputs: torch.Tensor
    layers: dict[str, list[nn.Module]]
    activations: dict[str, list[NDArray[np.float32]]]
    gradients: dict[str, list[NDArray[np.float32]]]


def record(predictor: Predictor, pixels: NDArray[np.uint8], places: Sequence[str], target: int) -> Recorded:
    """Send examples through a network and the log-odds of a class back; inside :func:`only_input_needs_gradients`.

    Parameters
    ----------
    predictor
        Whose network; the caller holds its lock.
    pixels
        (n, ...), as in :class:`core.data.prepare.examples.PreparedSeries`.
    places
        Names of layers; a "*" stands for each of several streams.
    target
        The class.
    """
    import torch
    from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients

    from core.models.forward import to_input

    model = predictor.model
    layers = {place: _find_layers(predictor, place) for place in places}
    recorders = {place: ActivationsAndGradients(model, layers[place], None) for place in places}
    try:
        inputs = to_input(torch.from_numpy(np.array(pixels)), predictor.architecture, predictor.compute)
        inputs = inputs.float().requires_grad_()
        with torch.enable_grad():
            _log_odds(model(inputs), target).sum().backward()
        return Recorded(
            inputs=inputs.detach(),
            layers=layers,
            activations={place: [part.numpy() for part in one.activations] for place, one in recorders.items()},
            gradients={place: [part.numpy() for part in one.gradients] for place, one in recorders.items()},
        )
    finally:
        for recorder in recorders.values():
            recorder.release()


def weigh(predictor: Predictor, recorded: Recorded, implementation: str, place: str) -> NDArray[np.float32]:
    """Return the maps that a method of pytorch_grad_cam makes of what was recorded at a place, cut at zero.

    Of shape (n, ...): as large as the examples without their channels.
    """
    import pytorch_grad_cam
    import torch

    model, layers = predictor.model, recorded.layers[place]
    method = getattr(pytorch_grad_cam, implementation)(model, layers)
    method.activations_and_grads.release()  # all has been recorded
    parts = zip(layers, recorded.activations[place], recorded.gradients[place], strict=True)
    coarse = [
        method.get_cam_image(recorded.inputs, layer, None, activations, gradients, False)
        for layer, activations, gradients in parts
    ]
    maps = [torch.from_numpy(np.maximum(part, 0).astype(np.float32)) for part in coarse]
    if predictor.architecture.input_form == "volume":
        return _enlarge_volume(model, recorded.inputs, maps[0]).numpy()
    joint = torch.stack(maps, dim=1)
    size = recorded.inputs.shape[-2:]
    enlarged = torch.nn.functional.interpolate(joint, size, mode="bilinear", align_corners=False)
    return (enlarged if "*" in place else enlarged[:, 0]).numpy()


@contextmanager
def only_input_needs_gradients(model: nn.Module) -> Iterator[None]:
    """Freeze the weights, so that none of them is left with a gradient, and judge; put flags and modes back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        model.eval()
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        for module, training in modes:
            module.training = training


def _find_layers(predictor: Predictor, place: str) -> list[nn.Module]:
    count = predictor.architecture.channels if "*" in place else 1
    return [predictor.model.get_submodule(place.replace("*", str(number))) for number in range(count)]


def _enlarge_volume(model: nn.Module, inputs: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """Enlarge maps to volumes (n, depth, size, size).

    A network that looks at the slices one by one gives a map for each, one after the other; one that looks at a part of
    the volume (``uncrop``) knows where that part lies.
    """
    import torch

    sides = inputs.shape[2:]
    if coarse.ndim == 3:
        coarse = coarse.view(len(inputs), sides[0], *coarse.shape[1:])
    uncrop: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = getattr(model, "uncrop", None)
    if uncrop is not None:
        return uncrop(inputs, coarse)
    return torch.nn.functional.interpolate(coarse[:, None], sides, mode="trilinear", align_corners=False)[:, 0]


def _log_odds(logits: torch.Tensor, target: int) -> torch.Tensor:
    """Log-odds (n,) of one class against all others."""
    others = [index for index in range(logits.shape[1]) if index != target]
    return logits[:, target] - logits[:, others].logsumexp(dim=1)
