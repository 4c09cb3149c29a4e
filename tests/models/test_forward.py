"""Scoring: the same logits whatever the batch, the model as it was, the precision as chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from core.config import RunConfig
from core.errors import ConfigError
from core.models.forward import Compute, autocast, choose_compute, evaluating, place_model, score_images, to_input
from core.models.registry import find_architecture
from core.models.weights import build_model

PLAIN = Compute(device="cpu", precision="float32", channels_last=False)
BFLOAT16 = Compute(device="cpu", precision="bfloat16", channels_last=True)
RESNET18 = find_architecture("resnet18")


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return build_model("resnet18", 2, "none", 0)[0].eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 64, 64), np.uint8)


def test_a_batch_of_two_equals_each_alone(model: nn.Module, images: np.ndarray) -> None:
    together = score_images(model, images[:2], RESNET18, PLAIN)
    for index in range(2):
        alone = score_images(model, images[index : index + 1], RESNET18, PLAIN)
        np.testing.assert_allclose(alone[0], together[index], atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_the_batch_size_does_not_matter(model: nn.Module, images: np.ndarray) -> None:
    whole = score_images(model, images, RESNET18, PLAIN)
    assert whole.shape == (5, 2)
    np.testing.assert_allclose(score_images(model, images, RESNET18, PLAIN, batch_size=2), whole, atol=1e-5)


def test_read_only_images_are_scored(model: nn.Module, images: np.ndarray) -> None:
    frozen = images.copy()
    frozen.flags.writeable = False
    assert score_images(model, frozen, RESNET18, PLAIN).dtype == np.float32


def test_no_images_are_refused(model: nn.Module) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        score_images(model, np.zeros((0, 64, 64), np.uint8), RESNET18, PLAIN)


def test_bfloat16_gives_nearly_the_same_as_float32(images: np.ndarray) -> None:
    model = build_model("resnet18", 2, "none", 0)[0]
    expected = score_images(model, images, RESNET18, PLAIN)
    found = score_images(place_model(model, BFLOAT16), images, RESNET18, BFLOAT16)
    assert found.dtype == np.float32
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert model.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_model_is_left_as_it_was(images: np.ndarray) -> None:
    model = build_model("resnet18", 2, "none", 0)[0].train()
    model.layer1.eval()  # as when a part is frozen
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    score_images(model, images, RESNET18, PLAIN)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    with pytest.raises(RuntimeError), evaluating(model):
        raise RuntimeError
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_input_is_normalised_as_torchvision_does(images: np.ndarray, channels_last: bool) -> None:
    from torchvision.models import ResNet18_Weights

    transform = ResNet18_Weights.IMAGENET1K_V1.transforms(crop_size=64, resize_size=64)
    expected = transform(torch.from_numpy(images)[:, None].repeat(1, 3, 1, 1))
    compute = Compute(device="cpu", precision="float32", channels_last=channels_last)
    for given in (torch.from_numpy(images), torch.from_numpy(images).float()):
        found = to_input(given, RESNET18, compute)
        torch.testing.assert_close(found, expected)
        assert found.is_contiguous(memory_format=torch.channels_last) == channels_last


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, BFLOAT16),
        ({"amx_bf16": True}, BFLOAT16),
        ({"avx2": True, "bf16": True}, PLAIN),
        ({}, PLAIN),
    ],
)
def test_auto_computes_in_bfloat16_where_the_cpu_gains_by_it(
    capabilities: dict[str, bool], expected: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_compute(RunConfig(device="cpu")) == expected
    assert choose_compute(RunConfig(device="cpu", precision="float32")) == PLAIN
    assert choose_compute(RunConfig(device="cpu", precision="bfloat16")) == BFLOAT16


@pytest.mark.parametrize(("capability", "precision"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_auto_on_a_gpu(capability: tuple[int, int], precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_compute(RunConfig()) == Compute(device="cuda", precision=precision, channels_last=True)
    assert choose_compute(RunConfig(precision="float32")).channels_last is False
    assert choose_compute(RunConfig(device="cpu")).device == "cpu"
    with pytest.raises(ConfigError, match=r"no device 'cuda:1'; it has: cpu, cuda:0"):
        choose_compute(RunConfig(device="cuda:1"))


def test_a_device_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for device in ("cuda", "cuda:0", "mps"):
        with pytest.raises(ConfigError, match=f"no device '{device}'; it has: cpu"):
            choose_compute(RunConfig(device=device))


def test_autocast_is_on_only_where_chosen() -> None:
    layer = nn.Linear(4, 4)
    for compute, dtype in ((PLAIN, torch.float32), (BFLOAT16, torch.bfloat16)):
        with autocast(compute):
            assert layer(torch.rand(2, 4)).dtype == dtype
