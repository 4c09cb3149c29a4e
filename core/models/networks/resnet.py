"""Residual networks on single slices, as torchvision builds them (He et al. 2016)."""

from __future__ import annotations

from torch import nn
from torchvision.models import get_model


def build_resnet(class_count: int, name: str) -> nn.Module:
    """Build a torchvision ResNet whose last layer is replaced by one with `class_count` outputs.

    Parameters
    ----------
    class_count
        Number of outputs.
    name
        torchvision's name of the network: ``resnet18``, ``resnet34``, ``resnet50``, ``resnet101``, ``resnet152``.

    Returns
    -------
    nn.Module
        Random weights; (batch, 3, size, size) -> logits (batch, class_count). The blocks of bottleneck networks start
        as the identity (their last normalisation at zero, Goyal et al. 2017), without which these networks hardly
        begin to learn from few images; pretrained weights replace it.
    """
    bottlenecks = name in ("resnet50", "resnet101", "resnet152")
    model: nn.Module = get_model(name, weights=None, zero_init_residual=bottlenecks)
    head = model.get_submodule("fc")
    assert isinstance(head, nn.Linear)
    model.fc = nn.Linear(head.in_features, class_count)
    return model
