"""Class activation maps: which part of a picture spoke for a class, with the strength kept beside the pattern."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.data.examples import PreparedSeries
from core.errors import ConfigError
from core.inference.occlusion import occlude
from core.inference.prediction import Cam
from core.models.forward import limit_batch
from core.progress import Progress, silent

if TYPE_CHECKING:
    import torch
    from torch import nn

    from core.inference.predict import Predictor
    from core.models.registry import Architecture

__all__ = ["INPUT", "METHODS", "CamMethod", "explain", "explain_many", "find_method", "list_layers"]


INPUT = "input"
"""The layer that a method without layers is said to explain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CamMethod:
    """One way of weighing a layer's channels; ``implementation`` names the class in pytorch_grad_cam, None our own."""

    name: str
    title: str
    summary: str
    implementation: str | None
    smooth: float = 0.0
    """Standard deviation of the Gaussian that the maps are blurred with, as a share of the picture's side."""

    @property
    def by_layer(self) -> bool:
        """Whether it explains a layer; occlusion covers the picture itself."""
        return self.implementation is not None


METHODS: Mapping[str, CamMethod] = {
    method.name: method
    for method in (
        CamMethod(
            name="gradcam",
            title="Grad-CAM",
            summary="Weighs each channel by its mean gradient; the usual first look (Selvaraju 2017).",
            implementation="GradCAM",
        ),
        CamMethod(
            name="gradcam++",
            title="Grad-CAM++",
            summary="Weighs by positive gradients of higher order; shows several small spots better (Chattopadhay 2018).",
            implementation="GradCAMPlusPlus",
        ),
        CamMethod(
            name="xgradcam",
            title="XGradCAM",
            summary="Weighs the gradient at each place by the activation there (Fu 2020).",
            implementation="XGradCAM",
        ),
        CamMethod(
            name="hirescam",
            title="HiResCAM",
            summary="Multiplies gradient and activation place by place, without averaging; it never marks what the network did not use (Draelos 2020).",
            implementation="HiResCAM",
        ),
        CamMethod(
            name="layercam",
            title="LayerCAM",
            summary="As HiResCAM, with the negative gradients left out place by place (Jiang 2021).",
            implementation="LayerCAM",
        ),
        CamMethod(
            name="layercam-smooth",
            title="LayerCAM, smoothed",
            summary="LayerCAM, blurred by 2% of the picture's side, so that a patch outweighs a speck beside it.",
            implementation="LayerCAM",
            smooth=0.02,
        ),
        CamMethod(
            name="occlusion",
            title="Occlusion",
            summary="Covers one place after the other and sees how far the answer falls; slow, and of no layer (Zeiler 2014).",
            implementation=None,
        ),
    )
}
"""The methods on offer. EigenCAM is left out: its sign is arbitrary, so it can mark the opposite."""


def find_method(name: str) -> CamMethod:
    """Return a method by name; raises ConfigError that lists those that exist."""
    try:
        return METHODS[name]
    except KeyError:
        raise ConfigError(f"There is no map method {name!r}; choose one of: {', '.join(METHODS)}.") from None


def list_layers(architecture: Architecture) -> tuple[str, ...]:
    """Modules whose output a map may explain, the usual one first; a "*" stands for each of several streams."""
    return (architecture.target_layer, *architecture.finer_layers)


def explain(
    predictor: Predictor,
    prepared: PreparedSeries,
    picture: int,
    method: str = "gradcam",
    target_class: int | None = None,
) -> Cam:
    """Explain one example; see :func:`explain_many`."""
    return explain_many(predictor, prepared, [picture], method, target_class)[0]


def explain_many(
    predictor: Predictor,
    prepared: PreparedSeries,
    pictures: Sequence[int] | None = None,
    method: str = "gradcam",
    target_class: int | None = None,
    *,
    layer: str | None = None,
    batch_size: int = 16,
    progress: Progress = silent,
) -> tuple[Cam, ...]:
    """Map what in each example, a slice or a volume, speaks for a class; of an ensemble, the mean of its members' maps.

    Explained is the class's log-odds, its logit less the log of the other classes' summed exponentials: with two
    classes, the difference of the two logits. One logit alone does not decide the answer, for the same number can be
    added to all of them.

    The map is the method's weighted sum at the architecture's target layer, cut at zero and enlarged linearly to the
    example: (size, size) for a slice, (depth, size, size) for a volume, (streams, size, size) where each stream has a
    layer of its own. Where only a part of the volume is classified, the map is laid back to its place. Nothing else is done to it: pytorch_grad_cam's own scaling, which subtracts each map's minimum
    and makes a weak map look strong, is left out, and ``heat * raw_max`` is the map itself.

    Parameters
    ----------
    predictor
        Whose network is explained; it is locked meanwhile and left as it was (mode, gradients, hooks).
    prepared
        The examples.
    pictures
        Positions in ``prepared.pixels``; all of them by default.
    method
        A key of :data:`METHODS`.
    target_class
        The class that the map speaks for; the card's positive class by default.
    layer
        One of :func:`list_layers`; the architecture's target layer by default. Methods without layers do not look at it.

    Returns
    -------
    tuple of Cam
        One per example, in the order asked for.

    Raises
    ------
    ConfigError
        No such method, picture, class or layer.
    """
    chosen = find_method(method)
    wanted = range(len(prepared.pixels)) if pictures is None else pictures
    outside = [index for index in wanted if not 0 <= index < len(prepared.pixels)]
    if outside:
        raise ConfigError(f"There is no picture {outside[0]}; this series has 0 to {len(prepared.pixels) - 1}.")
    target = predictor.card.positive_class if target_class is None else target_class
    if not 0 <= target < len(predictor.card.class_names):
        names = ", ".join(f"{index} {name}" for index, name in enumerate(predictor.card.class_names))
        raise ConfigError(f"There is no class {target}; this checkpoint has: {names}.")
    offered = list_layers(predictor.architecture)
    place = layer or predictor.architecture.target_layer
    if place not in offered:
        raise ConfigError(f"There is no layer {place!r} to map; choose one of: {', '.join(offered)}.")
    if not chosen.by_layer:
        place = INPUT
    cams: list[Cam] = []
    batch_size = limit_batch(batch_size, prepared.pixels.shape[1:])
    for start in range(0, len(wanted), batch_size):
        batch = list(wanted[start : start + batch_size])
        pixels = prepared.pixels[batch]
        maps = np.mean([_map(member, pixels, chosen, target, place) for member in predictor.members], axis=0)
        if chosen.smooth:
            maps = _blur(maps, chosen.smooth)
        for index, heat in zip(batch, maps, strict=True):
            raw_max = float(heat.max())
            cams.append(
                Cam(
                    heat=heat / raw_max if raw_max > 0 else heat,
                    raw_max=raw_max,
                    slice_index=int(prepared.slice_index[index]),
                    target_layer=place,
                    method=chosen.name,
                    target_class=target,
                )
            )
        progress(len(cams), len(wanted), chosen.title)
    return tuple(cams)


def _map(
    predictor: Predictor, pixels: NDArray[np.uint8], method: CamMethod, target: int, place: str
) -> NDArray[np.float32]:
    """The unscaled maps of one network."""
    if method.implementation is None:
        with predictor.lock:
            return occlude(predictor, pixels, target)
    return _raw_maps(predictor, pixels, method.implementation, target, place)


def _raw_maps(
    predictor: Predictor, pixels: NDArray[np.uint8], implementation: str, target: int, place: str
) -> NDArray[np.float32]:
    """Return the unscaled maps of examples (n, ...), which are as large as an example without its channels."""
    import pytorch_grad_cam
    import torch

    from core.models.forward import to_input

    model, architecture = predictor.model, predictor.architecture
    with predictor.lock, _only_input_needs_gradients(model):
        layers = [
            model.get_submodule(place.replace("*", str(number))) for number in range(_count_layers(place, predictor))
        ]
        cam = getattr(pytorch_grad_cam, implementation)(model, layers)
        recorder = cam.activations_and_grads
        try:
            inputs = to_input(torch.from_numpy(np.array(pixels)), architecture, predictor.compute)
            inputs = inputs.float().requires_grad_()
            with torch.enable_grad():
                _log_odds(recorder(inputs), target).sum().backward()
            coarse = [
                cam.get_cam_image(inputs, layer, None, activations.numpy(), gradients.numpy(), False)
                for layer, activations, gradients in zip(layers, recorder.activations, recorder.gradients, strict=True)
            ]
        finally:
            recorder.release()
        maps = [torch.from_numpy(np.maximum(part, 0).astype(np.float32)) for part in coarse]
        if architecture.input_form == "volume":
            return _enlarge_volume(model, inputs.detach(), maps[0]).numpy()
    size = pixels.shape[-2:]
    joint = torch.stack(maps, dim=1)
    enlarged = torch.nn.functional.interpolate(joint, size, mode="bilinear", align_corners=False)
    return (enlarged if "*" in place else enlarged[:, 0]).numpy()


def _blur(maps: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Blur maps (n, ..., size, size) slice by slice, by a share of their side."""
    from scipy.ndimage import gaussian_filter  # type: ignore[attr-defined]

    spread = (0.0,) * (maps.ndim - 2) + (share * maps.shape[-1],) * 2
    return np.asarray(gaussian_filter(maps, spread), np.float32)


def _count_layers(place: str, predictor: Predictor) -> int:
    return predictor.architecture.channels if "*" in place else 1


def _enlarge_volume(model: nn.Module, inputs: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """Enlarge maps to volumes (n, depth, size, size).

    A network that looks at the slices one by one gives a map for each, one after the other; one that looks at a part of
    the volume (``lay_back``) knows where that part lies.
    """
    import torch

    sides = inputs.shape[2:]
    if coarse.ndim == 3:
        coarse = coarse.view(len(inputs), sides[0], *coarse.shape[1:])
    lay_back: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = getattr(model, "lay_back", None)
    if lay_back is not None:
        return lay_back(inputs, coarse)
    return torch.nn.functional.interpolate(coarse[:, None], sides, mode="trilinear", align_corners=False)[:, 0]


def _log_odds(logits: torch.Tensor, target: int) -> torch.Tensor:
    """Log-odds (n,) of one class against all others."""
    others = [index for index in range(logits.shape[1]) if index != target]
    return logits[:, target] - logits[:, others].logsumexp(dim=1)


@contextmanager
def _only_input_needs_gradients(model: nn.Module) -> Iterator[None]:
    """Freeze the weights, so that none of them is left with a gradient, and put flags and modes back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        for module, training in modes:
            module.training = training
