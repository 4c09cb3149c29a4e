"""The maps are what their formulas say, and leave the network as they found it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from core.data.prepare.slices import PreparedSeries
from core.errors import ConfigError
from core.explain.cam import _blur, explain, explain_each, explain_many, map_coarsely
from core.explain.methods import METHODS
from core.inference.predict import Predictor
from core.models.forward import to_input


@pytest.fixture
def predictor(write_checkpoint: Callable[..., Path]) -> Predictor:
    return Predictor(write_checkpoint())


def closed_form(predictor: Predictor, pixels: np.ndarray, method: str, target: int) -> np.ndarray:
    """The coarse maps of a ResNet, whose pooled head makes the gradient at layer4 known: weight / positions."""
    model = predictor.model
    with torch.no_grad():
        features = to_input(torch.from_numpy(pixels), predictor.architecture, predictor.engine.compute)
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            features = getattr(model, name)(features)
    activations = features.numpy().astype(np.float64)
    positions = activations.shape[2] * activations.shape[3]
    weights = model.fc.weight.detach().numpy().astype(np.float64)
    weight = weights[target] - weights[1 - target]  # of two classes the log-odds is the difference of the logits
    gradients = np.broadcast_to((weight / positions)[None, :, None, None], activations.shape)
    if method in ("gradcam", "hirescam"):
        maps = (gradients * activations).sum(axis=1)
    elif method == "layercam":
        maps = (np.maximum(gradients, 0) * activations).sum(axis=1)
    else:
        total = activations.sum(axis=(2, 3), keepdims=True)
        if method == "xgradcam":
            channel = (gradients * activations).sum(axis=(2, 3), keepdims=True) / (total + 1e-7)
        else:
            alpha = gradients**2 / (2 * gradients**2 + total * gradients**3 + 1e-6)
            channel = (np.maximum(gradients, 0) * alpha).sum(axis=(2, 3), keepdims=True)
        maps = (channel * activations).sum(axis=1)
    return np.maximum(maps, 0)


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.by_layer and not method.smooth])
@pytest.mark.parametrize("target", [0, 1])
def test_map_is_its_formula_unscaled(predictor: Predictor, prepared: PreparedSeries, method: str, target: int) -> None:
    reference = closed_form(predictor, prepared.pixels, method, target)
    size = prepared.pixels.shape[-1]
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(reference)[:, None], (size, size), mode="bilinear", align_corners=False
    )[:, 0].numpy()
    cams = explain_many(predictor, prepared, method=method, target_class=target)
    if method in ("layercam", "gradcam++"):  # of the others, what speaks for one class cannot speak for the other
        assert enlarged.max() > 0
    for cam, expected in zip(cams, enlarged, strict=True):
        np.testing.assert_allclose(cam.heat * cam.raw_max, expected, atol=1e-4 * max(enlarged.max(), 1e-3))
        assert cam.raw_max == pytest.approx(expected.max(), rel=1e-3, abs=1e-9)
        assert cam.heat.dtype == np.float32
        assert cam.heat.max() == pytest.approx(1) if cam.raw_max > 0 else not cam.heat.any()


def test_a_smoothed_map_is_the_map_blurred_and_no_speck_outweighs_a_patch(
    predictor: Predictor, prepared: PreparedSeries
) -> None:
    plain, smooth = (explain_many(predictor, prepared, [0], name)[0] for name in ("layercam", "layercam-smooth"))
    expected = gaussian_filter(plain.heat * plain.raw_max, METHODS["layercam-smooth"].smooth * plain.heat.shape[-1])
    np.testing.assert_allclose(smooth.heat * smooth.raw_max, expected, atol=1e-5 * plain.raw_max)
    maps = np.zeros((1, 100, 100), np.float32)
    maps[0, 50, 10] = 1.5
    maps[0, 20:40, 60:80] = 1
    row, column = np.unravel_index(_blur(maps, 0.02)[0].argmax(), (100, 100))
    assert 20 <= row < 40
    assert 60 <= column < 80


def test_one_pass_gives_every_method_at_every_layer_what_each_gives_alone(
    predictor: Predictor, prepared: PreparedSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    combinations = [(name, layer) for name in METHODS for layer in predictor.architecture.layers]
    alone = [explain_many(predictor, prepared, [0, 2], method, layer=layer) for method, layer in combinations]
    passes: list[int] = []
    by_layer = [one for one in combinations if METHODS[one[0]].by_layer]
    monkeypatch.setattr(
        predictor.model,
        "forward",
        lambda inputs, own=predictor.model.forward: passes.append(len(inputs)) or own(inputs),
    )
    together = explain_each(predictor, prepared, by_layer, [0, 2])
    assert passes == [2]
    monkeypatch.undo()
    together = explain_each(predictor, prepared, combinations, [0, 2])
    for one, other in zip(alone, together, strict=True):
        for expected, found in zip(one, other, strict=True):
            assert (found.method, found.target_layer) == (expected.method, expected.target_layer)
            np.testing.assert_array_equal(found.heat, expected.heat)
            assert found.raw_max == expected.raw_max


def test_a_batch_gives_each_image_its_own_map(predictor: Predictor, prepared: PreparedSeries) -> None:
    together = explain_many(predictor, prepared, [3, 0, 4], batch_size=2)
    assert [cam.slice_index for cam in together] == [10, 4, 12]
    for cam, image in zip(together, (3, 0, 4), strict=True):
        alone = explain(predictor, prepared, image)
        np.testing.assert_allclose(cam.heat, alone.heat, atol=1e-4)
        assert cam.raw_max == pytest.approx(alone.raw_max, rel=1e-4)


def test_default_class_is_the_positive_one(write_checkpoint: Callable[..., Path], prepared: PreparedSeries) -> None:
    predictor = Predictor(write_checkpoint(positive_class=0))
    assert explain(predictor, prepared, 0).target_class == 0


def test_network_is_left_as_it_was(predictor: Predictor, prepared: PreparedSeries) -> None:
    model = predictor.model
    model.train()
    model.layer1.eval()
    model.conv1.weight.requires_grad_(False)
    model.fc.weight.grad = torch.ones_like(model.fc.weight)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    explain_many(predictor, prepared)
    assert model.training
    assert not model.layer1.training
    assert not model.conv1.weight.requires_grad
    assert model.conv1.weight.grad is None
    assert model.fc.weight.requires_grad
    assert torch.equal(model.fc.weight.grad, torch.ones_like(model.fc.weight))
    assert model.layer4[0].conv1.weight.grad is None
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_network_is_left_as_it_was_after_an_error(predictor: Predictor, prepared: PreparedSeries) -> None:
    broken = replace(prepared, pixels=np.zeros((5, 0, 0), dtype=np.uint8))
    with pytest.raises((RuntimeError, ValueError)) as caught:
        explain(predictor, broken, 0)
    assert caught.tb is not None
    assert not any(module._forward_hooks for module in predictor.model.modules())
    assert predictor.model.fc.weight.requires_grad
    assert not predictor.lock.locked()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"method": "eigencam"}, "gradcam, gradcam\\+\\+"),
        ({"images": [5]}, "0 to 4"),
        ({"images": [-1]}, "0 to 4"),
        ({"target_class": 2}, "1 methylated"),
    ],
)
def test_what_does_not_exist_is_named(
    predictor: Predictor, prepared: PreparedSeries, arguments: dict, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        explain_many(predictor, prepared, **arguments)


def test_coarse_maps_of_one_pass_are_drawn_as_each_alone(
    predictor: Predictor, prepared: PreparedSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    combinations = [(name, layer) for name in METHODS for layer in predictor.architecture.layers]
    alone = [explain_many(predictor, prepared, None, name, 0, layer=layer) for name, layer in combinations]
    coarse = map_coarsely(predictor, prepared, 0, batch_size=2)
    passes: list[int] = []
    monkeypatch.setattr(predictor.engine, "capture", lambda *anything: passes.append(1))
    for (name, layer), expected in zip(combinations, alone, strict=True):
        for cam, other in zip(coarse.draw(name, layer), expected, strict=True):
            assert (cam.method, cam.target_layer, cam.target_class) == (name, other.target_layer, 0)
            np.testing.assert_allclose(cam.heat, other.heat, atol=1e-4)
            assert cam.raw_max == pytest.approx(other.raw_max, rel=1e-4)
    assert not passes
    with pytest.raises(ConfigError, match="no class 7"):
        map_coarsely(predictor, prepared, 7)
