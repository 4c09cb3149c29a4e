"""One 2D stream per MR sequence, aggregated, with a joint head (after Ge et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn


STREAM_DROPOUT = 0.2
"""Probability with which training takes a stream away, so that the network learns to do without it."""


def build_multistream(stream_count: int, class_count: int) -> nn.Module:
    """Build a network with a stream for each sequence.

    Ge et al. (EMBC 2018, 5894) give T1wCE, T2w and FLAIR a small 2D network each, aggregate their features and classify
    them jointly. Here a stream is a ResNet-18 up to its third stage, the features of the streams that are there are
    averaged, and ResNet-18's fourth stage and a linear layer classify them: so ImageNet weights serve as a start, and a
    study that lacks a sequence is answered from the others.

    Parameters
    ----------
    stream_count
        Sequences, in the order of the input.
    class_count
        Number of outputs.

    Returns
    -------
    nn.Module
        Random weights; (batch, streams, size, size) -> logits (batch, class_count). A stream that is exactly 0
        everywhere counts as absent; where all are, the answer is that of features that are 0.
    """
    import torch
    from torch import nn

    class MultiStream(nn.Module):
        """Streams, their average, a joint head."""

        def __init__(self) -> None:
            super().__init__()
            self.streams = nn.ModuleList(_build_stream() for _ in range(stream_count))
            self.joint = _build_joint()
            self.fc = nn.Linear(512, class_count)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            present = images.flatten(2).any(-1)
            if self.training:
                present = _drop_streams(present)
            features = torch.stack([stream(images[:, [place]]) for place, stream in enumerate(self.streams)], dim=1)
            absent = ~present[:, :, None, None, None]
            count = present.sum(dim=1).clamp(min=1)[:, None, None, None]
            merged = features.masked_fill(absent, 0).sum(dim=1) / count
            logits: torch.Tensor = self.fc(self.joint(merged).mean(dim=(2, 3)))
            return logits

    return MultiStream()


def _drop_streams(present: torch.Tensor) -> torch.Tensor:
    """Take streams (batch, streams) away at random, never the last one of an example."""
    import torch

    kept = present & (torch.rand(present.shape, device=present.device) >= STREAM_DROPOUT)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)


def _build_stream() -> nn.Module:
    """ResNet-18 up to its third stage on one grey channel: (n, 1, size, size) -> (n, 256, size / 16, size / 16)."""
    from torch import nn
    from torchvision.models import resnet18

    whole = resnet18(weights=None)
    stream = nn.Sequential()
    stream.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(stream.conv1.weight, mode="fan_out", nonlinearity="relu")
    for name in ("bn1", "relu", "maxpool", "layer1", "layer2", "layer3"):
        stream.add_module(name, whole.get_submodule(name))
    return stream


def _build_joint() -> nn.Module:
    """ResNet-18's fourth stage: (n, 256, side, side) -> (n, 512, side / 2, side / 2)."""
    from torch import nn
    from torchvision.models import resnet18

    joint = nn.Sequential()
    joint.add_module("layer4", resnet18(weights=None).layer4)
    return joint
