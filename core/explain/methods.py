"""The map methods that are offered, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import ConfigError

INPUT = "input"
"""The layer that a method without layers is said to explain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CamMethod:
    """A map method; :mod:`core.explain.activations` has the formulas of those by layer."""

    name: str
    title: str
    summary: str
    by_layer: bool = True
    """Whether it explains a layer; occlusion covers the image itself."""
    smooth: float = 0.0
    """Standard deviation of the Gaussian that the maps are blurred with, as a share of the image's side."""


METHODS: Mapping[str, CamMethod] = {
    method.name: method
    for method in (
        CamMethod(
            name="gradcam",
            title="Grad-CAM",
            summary="Weighs each channel by its mean gradient; the usual first look (Selvaraju 2017).",
        ),
        CamMethod(
            name="gradcam++",
            title="Grad-CAM++",
            summary="Weighs by positive gradients of higher order; shows several small spots better (Chattopadhay 2018).",
        ),
        CamMethod(
            name="xgradcam",
            title="XGradCAM",
            summary="Weighs the gradient at each place by the activation there (Fu 2020).",
        ),
        CamMethod(
            name="hirescam",
            title="HiResCAM",
            summary="Multiplies gradient and activation place by place, without averaging; it never marks what the network did not use (Draelos 2020).",
        ),
        CamMethod(
            name="layercam",
            title="LayerCAM",
            summary="As HiResCAM, with the negative gradients left out place by place (Jiang 2021).",
        ),
        CamMethod(
            name="layercam-smooth",
            title="LayerCAM, smoothed",
            summary="LayerCAM, blurred by 2% of the image's side, so that a patch outweighs a speck beside it.",
            smooth=0.02,
        ),
        CamMethod(
            name="occlusion",
            title="Occlusion",
            summary="Covers one place after the other and sees how far the answer falls; slow, and of no layer (Zeiler 2014).",
            by_layer=False,
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


def describe_methods() -> str:
    """Name each method with its summary, a line each."""
    return "methods:\n" + "".join(f"  {method.name}: {method.summary}\n" for method in METHODS.values())
