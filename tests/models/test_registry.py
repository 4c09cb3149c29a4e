"""The networks: what the registry says of each is true of it."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import get_weight

from core.errors import ConfigError
from core.models.registry import ARCHITECTURES, Architecture, find_architecture

PARAMETERS = {"resnet18": 11_177_538, "resnet34": 21_285_698, "resnet50": 23_512_130}
"""torchvision's networks with two outputs instead of 1000."""


@pytest.mark.parametrize("entry", ARCHITECTURES.values(), ids=lambda entry: entry.name)
def test_an_entry_is_true_of_its_network(entry: Architecture) -> None:
    with torch.device("meta"):
        model = entry.build(3)
        assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 3)
    parent, _, last = entry.target_layer.rpartition(".")
    assert list(dict(model.get_submodule(parent).named_children()))[-1] == last
    assert isinstance(model.get_submodule(entry.head), torch.nn.Linear)
    assert entry.pretrained is not None
    transforms = get_weight(entry.pretrained).transforms()
    assert (tuple(transforms.mean), tuple(transforms.std)) == (entry.normalisation.mean, entry.normalisation.std)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name: str) -> None:
    with torch.device("meta"):
        model = find_architecture(name).build(2)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_an_unknown_name_lists_those_that_exist() -> None:
    with pytest.raises(ConfigError, match="no architecture 'vgg'; choose one of: resnet18, resnet34"):
        find_architecture("vgg")
