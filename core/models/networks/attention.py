"""Attention over the slices of a volume: multiple-instance learning (after Ilse et al. 2018)."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models import resnet18

ATTENTION_WIDTH = 128


class AttentionResNet(nn.Module):
    """A ResNet-18 that encodes every slice, and a gated attention that weighs them.

    (batch, 1, depth, size, size), the bag along the depth -> logits (batch, class_count). Weights start at random.

    A study carries one label and its slices carry none: averaging slice logits says that every slice shows the class
    equally well. Here the network learns how much each slice counts (Ilse et al., ICML 2018: gated attention, one
    weight per slice, summing to 1 over the bag). A slice of one single grey (padding of a short series) gets the
    weight 0, unless all are.
    """

    def __init__(self, class_count: int) -> None:
        super().__init__()
        self.encoder = resnet18(weights=None)
        width = self.encoder.fc.in_features
        self.encoder.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(self.encoder.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.encoder.fc = nn.Identity()
        self.content = nn.Linear(width, ATTENTION_WIDTH)
        self.gate = nn.Linear(width, ATTENTION_WIDTH)
        self.weight = nn.Linear(ATTENTION_WIDTH, 1)
        self.fc = nn.Linear(width, class_count)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        features, weights = self._encode_and_weigh(volume)
        logits: torch.Tensor = self.fc((weights.unsqueeze(-1) * features).sum(dim=1))
        return logits

    def attention_weights(self, volume: torch.Tensor) -> torch.Tensor:
        """How much each slice counts: (batch, depth), each row summing to 1."""
        return self._encode_and_weigh(volume)[1]

    def rename_pretrained(self, name: str) -> list[str]:
        """Names that a tensor of torchvision's ResNet-18 has in this network."""
        return [] if name.startswith("fc.") else [f"encoder.{name}"]

    def _encode_and_weigh(self, volume: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (batch, depth, 512) and weights (batch, depth) of the slices."""
        count, channels, depth, rows, columns = volume.shape
        slices = volume.transpose(1, 2).reshape(count * depth, channels, rows, columns)
        features = self.encoder(slices).view(count, depth, -1)
        score = self.weight(self.content(features).tanh() * self.gate(features).sigmoid()).squeeze(-1)
        flat = slices.flatten(1).view(count, depth, -1)
        blank = flat.amax(dim=-1) == flat.amin(dim=-1)
        blank = blank & ~blank.all(dim=1, keepdim=True)
        return features, score.float().masked_fill(blank, float("-inf")).softmax(dim=1).to(features.dtype)
