"""The networks: what the registry says of each is true of it."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import get_weight

from core.config import PrepConfig
from core.errors import ConfigError
from core.models.registry import ARCHITECTURES, Architecture, check_form, find_architecture

PARAMETERS = {"resnet18": 11_177_538, "resnet34": 21_285_698, "resnet50": 23_512_130, "r3d_18": 33_167_298}
"""torchvision's networks with two outputs instead of 1000."""


@pytest.mark.parametrize("entry", ARCHITECTURES.values(), ids=lambda entry: entry.name)
def test_an_entry_is_true_of_its_network(entry: Architecture) -> None:
    with torch.device("meta"):
        model = entry.build(3)
        sides = (16, 64, 64) if entry.input_form == "volume" else (64, 64)
        assert model(torch.zeros(2, entry.channels, *sides)).shape == (2, 3)
    assert len(entry.normalisation.mean) == len(entry.normalisation.std) == entry.channels
    parent, _, last = entry.target_layer.replace("*", "0").rpartition(".")
    assert list(dict(model.get_submodule(parent).named_children()))[-1] == last
    assert isinstance(model.get_submodule(entry.head), torch.nn.Linear)
    if entry.pretrained is None:
        return
    transforms = get_weight(entry.pretrained).transforms()
    for ours, published in ((entry.normalisation.mean, transforms.mean), (entry.normalisation.std, transforms.std)):
        colour = entry.channels == 3 and entry.input_form != "streams"
        expected = tuple(published) if colour else (sum(published) / 3,) * entry.channels
        assert ours == pytest.approx(expected)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name: str) -> None:
    with torch.device("meta"):
        model = find_architecture(name).build(2)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_an_unknown_name_lists_those_that_exist() -> None:
    with pytest.raises(ConfigError, match="no architecture 'vgg'; choose one of: resnet18, resnet34"):
        find_architecture("vgg")


@pytest.mark.parametrize("name", [name for name, entry in ARCHITECTURES.items() if entry.input_form != "slice"])
def test_a_network_that_slices_do_not_fit_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="'slice' is prepared; choose an architecture for 'slice': resnet18"):
        check_form(find_architecture(name), PrepConfig())
    check_form(find_architecture("resnet34"), PrepConfig())
