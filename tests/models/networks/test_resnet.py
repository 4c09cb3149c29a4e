"""torchvision's ResNets: the new head, and how random weights start."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.resnet import BasicBlock, Bottleneck

from core.models.networks.resnet import build_resnet


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_has_one_output_for_each_class(classes: int) -> None:
    model = build_resnet(classes, "resnet18").eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, classes)


def test_bottleneck_blocks_start_as_the_identity() -> None:
    model = build_resnet(2, "resnet50").eval()
    block = next(part for part in model.modules() if isinstance(part, Bottleneck) and part.downsample is None)
    maps = torch.rand(1, block.conv1.in_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(maps), maps)


def test_basic_blocks_start_as_torchvision_starts_them() -> None:
    blocks = [part for part in build_resnet(2, "resnet18").modules() if isinstance(part, BasicBlock)]
    assert blocks
    assert all(float(block.bn2.weight.detach().min()) == 1.0 for block in blocks)
