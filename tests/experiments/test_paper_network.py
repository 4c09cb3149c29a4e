"""The paper's tables beside the networks that are really used."""

from __future__ import annotations

import pytest
import torch
from torchvision import models
from torchvision.models.resnet import Bottleneck

from core.experiments.paper_network import NETWORKS, ResidualNetwork


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_the_errors_are_those_that_torchvision_states(network: ResidualNetwork) -> None:
    weights = models.get_model_weights(network.name).IMAGENET1K_V1  # type: ignore[attr-defined]
    stated = weights.meta["_metrics"]["ImageNet-1K"]
    assert network.torchvision_errors == tuple(round(100 - stated[name], 2) for name in ("acc@1", "acc@5"))


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_the_layers_are_those_of_the_network(network: ResidualNetwork) -> None:
    with torch.device("meta"):
        real = models.get_model(network.name, weights=None)
    stages = (real.layer1, real.layer2, real.layer3, real.layer4)
    assert network.blocks == tuple(len(stage) for stage in stages)
    assert network.has_bottlenecks == isinstance(real.layer1[0], Bottleneck)
    for number, stage in enumerate(stages):
        block = stage[-1]
        convolutions = [block.conv1, block.conv2, *([block.conv3] if network.has_bottlenecks else [])]
        layers = "; ".join(f"{one.kernel_size[0]}x{one.kernel_size[1]}, {one.out_channels}" for one in convolutions)
        assert network.describe_stage(number) == f"[{layers}] x {len(stage)}"
