"""One 2D stream per MR sequence, aggregated, with a joint head (after Ge et al. 2018)."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models import resnet18

STREAM_DROPOUT = 0.2
"""Probability with which training drops a stream, so that the network learns to do without it."""


class MultiStream(nn.Module):
    """A ResNet-18 up to its third stage for each sequence; its fourth stage and a linear layer classify their average.

    (batch, stream_count, size, size) -> logits (batch, class_count). Weights start at random. A stream that is exactly
    0 everywhere counts as absent; where all are, the answer is that of features that are 0.

    Ge et al. (EMBC 2018, 5894) give T1wCE, T2w and FLAIR a small 2D network each, aggregate their features and classify
    them jointly. Here ImageNet weights can serve as a start, and a study that lacks a sequence is answered from the
    others.
    """

    def __init__(self, class_count: int, stream_count: int) -> None:
        super().__init__()
        self.streams = nn.ModuleList(_build_stream() for _ in range(stream_count))
        self.joint = _build_joint()
        self.fc = nn.Linear(512, class_count)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        present = images.flatten(2).any(-1)
        if self.training:
            present = drop_streams(present)
        features = torch.stack([stream(images[:, [place]]) for place, stream in enumerate(self.streams)], dim=1)
        absent = ~present[:, :, None, None, None]
        count = present.sum(dim=1).clamp(min=1)[:, None, None, None]
        merged = features.masked_fill(absent, 0).sum(dim=1) / count
        logits: torch.Tensor = self.fc(self.joint(merged).mean(dim=(2, 3)))
        return logits

    def rename_pretrained(self, name: str) -> list[str]:
        """Names that a tensor of torchvision's ResNet-18 has in this network; every stream gets the first three stages."""
        if name.startswith("fc."):
            return []
        if name.startswith("layer4."):
            return [f"joint.{name}"]
        return [f"streams.{stream}.{name}" for stream in range(len(self.streams))]


def drop_streams(present: torch.Tensor) -> torch.Tensor:
    """Drop streams (batch, streams) at random, never the last one of an example."""
    kept = present & (torch.rand(present.shape, device=present.device) >= STREAM_DROPOUT)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)


def _build_stream() -> nn.Module:
    """ResNet-18 up to its third stage on one grey channel: (n, 1, size, size) -> (n, 256, size / 16, size / 16)."""
    whole = resnet18(weights=None)
    stream = nn.Sequential()
    stream.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(stream.conv1.weight, mode="fan_out", nonlinearity="relu")
    for name in ("bn1", "relu", "maxpool", "layer1", "layer2", "layer3"):
        stream.add_module(name, whole.get_submodule(name))
    return stream


def _build_joint() -> nn.Module:
    """ResNet-18's fourth stage: (n, 256, side, side) -> (n, 512, side / 2, side / 2)."""
    joint = nn.Sequential()
    joint.add_module("layer4", resnet18(weights=None).layer4)
    return joint
