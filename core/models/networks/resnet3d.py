"""The 3D ResNet-10 of the competition's winner, as MONAI builds it."""

from __future__ import annotations

from monai.networks.nets import resnet10
from torch import nn


def build_resnet10(class_count: int) -> nn.Module:
    """Build MONAI's ResNet-10 in three dimensions with one input channel.

    The winner's network (FirasBaba/rsna-resnet10) has one output and a sigmoid; this one has an output per class and a
    softmax, which for two classes is the same family of functions.

    Returns
    -------
    nn.Module
        Random weights; (batch, 1, depth, size, size) -> logits (batch, class_count).
    """
    model: nn.Module = resnet10(spatial_dims=3, n_input_channels=1, num_classes=class_count)
    return model
