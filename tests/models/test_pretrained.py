"""Published weights in a network that is not the published one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from core.errors import WeightsUnavailableError
from core.models.weights import build_model

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def imagenet_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 with 1000 outputs, as torchvision's file holds it."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def kinetics_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MC3-18 with 400 outputs."""
    path = tmp_path_factory.mktemp("weights") / "mc3.pth"
    torch.save(torchvision.models.video.mc3_18(weights=None).state_dict(), path)
    return path


def test_a_summed_stem_says_of_grey_what_colour_says(kinetics_like: Path) -> None:
    colour, whole = build_model("mc3_18", 2, str(kinetics_like), 0)
    grey, report = build_model("mc3_18_grey", 2, str(kinetics_like), 0)
    grey.get_submodule("fc").load_state_dict(colour.get_submodule("fc").state_dict())
    volume = torch.rand(1, 1, 4, 32, 32)
    with torch.inference_mode():
        same = colour.eval()(volume.expand(-1, 3, -1, -1, -1))
        torch.testing.assert_close(grey.eval()(volume), same, rtol=1e-3, atol=1e-4)
    assert whole.adapted == ()
    assert report.adapted == ("stem.0.weight: the weights of 3 colour channels summed into 1",)
    assert report.missing == ("fc.weight", "fc.bias")
    assert "summed into 1; at random: fc.weight, fc.bias" in report.describe()


def test_every_stream_starts_from_the_same_weights(imagenet_like: Path) -> None:
    model, report = build_model("multistream", 2, str(imagenet_like), 0)
    published = torch.load(imagenet_like)
    for stream in range(3):
        found = model.get_submodule(f"streams.{stream}").state_dict()
        assert torch.equal(found["conv1.weight"], published["conv1.weight"].sum(1, keepdim=True))
        assert torch.equal(found["layer3.1.conv2.weight"], published["layer3.1.conv2.weight"])
    assert torch.equal(model.state_dict()["joint.layer4.0.conv1.weight"], published["layer4.0.conv1.weight"])
    assert report.missing == ("fc.weight", "fc.bias")


def test_the_attention_starts_at_random_and_the_encoder_does_not(imagenet_like: Path) -> None:
    model, report = build_model("attention_resnet18", 2, str(imagenet_like), 0)
    published = torch.load(imagenet_like)
    assert torch.equal(model.state_dict()["encoder.layer4.1.conv2.weight"], published["layer4.1.conv2.weight"])
    assert {name.split(".")[0] for name in report.missing} == {"content", "gate", "weight", "fc"}


@pytest.mark.parametrize("name", ["multistream", "attention_resnet18", "mc3_18_grey"])
def test_a_network_of_our_own_is_taken_over_whole(name: str, tmp_path: Path) -> None:
    source, _ = build_model(name, 2, "none", 1)
    save_file(source.state_dict(), tmp_path / "own.safetensors")
    model, report = build_model(name, 2, str(tmp_path / "own.safetensors"), 2)
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in model.state_dict().items())
    assert (report.missing, report.unexpected, report.adapted) == ((), (), ())


def test_weights_of_another_network_are_still_refused(imagenet_like: Path, kinetics_like: Path) -> None:
    for name, path in (("mc3_18_grey", imagenet_like), ("multistream", kinetics_like), ("volumetric", imagenet_like)):
        with pytest.raises(WeightsUnavailableError, match="does not fit"):
            build_model(name, 2, str(path), 0)
