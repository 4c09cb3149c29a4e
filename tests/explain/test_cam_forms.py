"""The maps of volumes and streams are what their formulas say, whichever method, and lie where they belong."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.data.prepare.examples import ImageFrame, PreparedSeries, SeenSlice
from core.explain.cam import explain_many
from core.explain.methods import METHODS
from core.inference.prediction import Cam
from core.inference.torch_engine import TorchEngine
from core.models.forward import Compute, to_input
from core.models.networks.two_stage import cut_box, find_box, paste_box
from core.models.registry import ARCHITECTURES, Architecture, find_architecture
from core.models.weights import build_random

DEPTH, SIZE = 16, 32
FORMS = ("volumetric", "attention_resnet18", "two_stage", "multistream")
EVERY = [name for name, entry in ARCHITECTURES.items() if entry.input_form != "slice"]


@dataclass
class Card:
    """The part of a checkpoint's card that a map needs."""

    class_names: tuple[str, ...] = ("unmethylated", "methylated")
    positive_class: int = 1


class Asked:
    """What a map needs of a predictor, around a network with random weights."""

    def __init__(self, name: str) -> None:
        self.architecture: Architecture = find_architecture(name)
        self.model = build_random(self.architecture, 2, 0).eval()
        self.compute = Compute(device="cpu", precision="float32", channels_last=False)
        self.engine = TorchEngine(self.model, self.architecture, self.compute)
        self.lock, self.card, self.members = Lock(), Card(), (self,)


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    return {name: Asked(name) for name in FORMS}


def prepare(architecture: Architecture, count: int = 2) -> PreparedSeries:
    """Examples of blurred noise in the form that a network takes."""
    deep = architecture.input_form == "volume"
    coarse = np.random.default_rng(5).uniform(40, 250, (count, architecture.channels, DEPTH if deep else 1, 4, 4))
    pixels = np.kron(coarse, np.ones((SIZE // 4, SIZE // 4))).astype(np.uint8)
    frame = ImageFrame(
        source_shape=(SIZE, SIZE), row_start=0, row_stop=SIZE, column_start=0, column_stop=SIZE,
        top=0, bottom=SIZE, left=0, right=SIZE,
    )  # fmt: skip
    return PreparedSeries(
        pixels=pixels if deep else pixels[:, :, 0],
        slice_index=np.arange(count, dtype=np.int32),
        position_mm=np.arange(count, dtype=np.float64),
        files=("",) * count,
        frames=(frame,) * count,
        slice_total=DEPTH,
        blank_count=0,
    )


def weigh(activations: NDArray[np.float64], gradients: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    """A method's formula over arrays (n, channels, ...), cut at zero: (n, ...)."""
    axes = tuple(range(2, activations.ndim))
    total = activations.sum(axis=axes, keepdims=True)
    if method == "gradcam":
        weights = gradients.mean(axis=axes, keepdims=True)
    elif method == "xgradcam":
        weights = (gradients * activations).sum(axis=axes, keepdims=True) / (total + 1e-7)
    elif method == "gradcam++":
        alpha = np.where(gradients == 0, 0, gradients**2 / (2 * gradients**2 + total * gradients**3 + 1e-6))
        weights = (np.maximum(gradients, 0) * alpha).sum(axis=axes, keepdims=True)
    else:
        weights = np.maximum(gradients, 0) if method == "layercam" else gradients
    return np.maximum((weights * activations).sum(axis=1), 0)


def reference(asked: Any, prepared: PreparedSeries, method: str) -> NDArray[np.float32]:
    """The maps from plain hooks and NumPy, enlarged to the examples."""
    model, architecture = asked.model, asked.architecture
    place = architecture.target_layer
    names = [place.replace("*", str(number)) for number in range(architecture.channels if "*" in place else 1)]
    kept: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: Any, inputs: Any, output: torch.Tensor) -> None:
            output.retain_grad()
            kept[name] = output

        return hook

    hooks = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    inputs = to_input(torch.from_numpy(prepared.pixels), architecture, asked.compute).requires_grad_()
    logits = model(inputs)
    (logits[:, 1] - logits[:, 0]).sum().backward()
    model.zero_grad()
    for hook in hooks:
        hook.remove()
    coarse = []
    for name in names:
        gradient = kept[name].grad
        assert gradient is not None
        coarse.append(
            weigh(kept[name].detach().numpy().astype(np.float64), gradient.numpy().astype(np.float64), method)
        )
    maps = torch.from_numpy(np.stack(coarse, axis=1)).float()
    if architecture.input_form == "streams":
        return torch.nn.functional.interpolate(maps, (SIZE, SIZE), mode="bilinear", align_corners=False).numpy()
    if architecture.slicewise:  # one map per slice, and none of them reaches into the next slice
        return (
            torch.nn.functional.interpolate(maps, (SIZE, SIZE), mode="bilinear", align_corners=False)
            .view(len(prepared.pixels), DEPTH, SIZE, SIZE)
            .numpy()
        )
    if hasattr(model, "uncrop"):
        return model.uncrop(inputs.detach(), maps[:, 0]).numpy()
    sides = (DEPTH, SIZE, SIZE)
    return torch.nn.functional.interpolate(maps, sides, mode="trilinear", align_corners=False)[:, 0].numpy()


@pytest.mark.parametrize("method", [name for name, one in METHODS.items() if one.by_layer and not one.smooth])
@pytest.mark.parametrize("name", FORMS)
def test_a_map_of_any_form_is_its_formula(asked: dict[str, Any], name: str, method: str) -> None:
    one = asked[name]
    prepared = prepare(one.architecture)
    expected = reference(one, prepared, method)
    cams = explain_many(one, prepared, method=method, target_class=1)
    assert len(cams) == len(expected)
    for cam, wanted in zip(cams, expected, strict=True):
        assert cam.heat.shape == wanted.shape
        np.testing.assert_allclose(cam.heat * cam.raw_max, wanted, atol=1e-4 * max(float(expected.max()), 1e-6))


@pytest.mark.parametrize("name", EVERY)
def test_every_layer_that_is_offered_can_be_mapped(name: str) -> None:
    one: Any = Asked(name)
    prepared = prepare(one.architecture, count=1)
    shape = (DEPTH, SIZE, SIZE) if one.architecture.input_form == "volume" else None
    for layer in one.architecture.layers:
        (cam,) = explain_many(one, prepared, method="layercam", layer=layer)
        assert cam.target_layer == layer
        assert cam.heat.shape == (shape or ((one.architecture.channels, SIZE, SIZE) if "*" in layer else (SIZE, SIZE)))
        assert cam.raw_max > 0


def test_a_map_of_the_region_lies_where_the_region_was_cut_out() -> None:
    found = torch.zeros(1, 20, 40, 40, dtype=torch.bool)
    found[0, 4:12, 6:22, 20:36] = True
    box = find_box(found, torch.ones_like(found))
    tumour = found.float()[:, None]
    laid = paste_box(cut_box(tumour, box)[:, 0], box, torch.Size((20, 40, 40)))[0]
    # What was cut out comes back to its place: the tumour's voxels bright, what lies around it dark.
    assert laid[found[0]].mean() > 0.9
    assert laid[~found[0]].mean() < 0.02
    full = paste_box(torch.ones(1, 5, 4, 4), box, torch.Size((20, 40, 40)))[0]
    inside = full.nonzero()
    torch.testing.assert_close(full[full > 0], torch.ones(len(inside)))
    for axis, side in enumerate((20, 40, 40)):
        start, stop = (box[0, axis] * side).tolist()
        assert start - 0.51 <= inside[:, axis].min() <= start + 0.51
        assert stop - 1.51 <= inside[:, axis].max() <= stop - 0.49


def test_each_stream_and_layer_tells_its_own_strength() -> None:
    heat = np.zeros((2, 4, 4), np.float32)
    heat[0, 1, 1], heat[1, 2, 2] = 1.0, 0.25
    cam = Cam(heat=heat, raw_max=8.0, slice_index=0, target_layer="", method="gradcam", target_class=1)
    strong, weak = (
        cam.of_slice(SeenSlice(sequence="T2w", slice_index=0, position_mm=0.0, example=0, place=(place,)))
        for place in (0, 1)
    )
    assert (strong[1], weak[1]) == (8.0, 2.0)
    assert strong[0][1, 1] == weak[0][2, 2] == 1
    np.testing.assert_allclose(weak[0] * weak[1], heat[1] * 8)
