"""Attention over the slices of a volume: multiple-instance learning (after Ilse et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn


ATTENTION_WIDTH = 128


def build_attention(class_count: int) -> nn.Module:
    """Build a ResNet-18 that looks at every slice, and a gated attention that weighs them.

    A study carries one label and its slices carry none: averaging slice logits says that every slice shows the class
    equally well. Here the network learns how much each slice counts (Ilse et al., ICML 2018: gated attention, one
    weight per slice, summing to 1 over the bag). A slice that is one single grey (padding of a short series) gets the
    weight 0, unless all are.

    Returns
    -------
    nn.Module
        Random weights; (batch, 1, depth, size, size), the bag along the depth -> logits (batch, class_count).
        ``weigh(volume)`` gives the weights (batch, depth).
    """
    from torch import nn
    from torchvision.models import resnet18

    class AttentionPooling(nn.Module):
        """Slice encoder, attention, head."""

        def __init__(self) -> None:
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
            features, weights = self._look(volume)
            logits: torch.Tensor = self.fc((weights.unsqueeze(-1) * features).sum(dim=1))
            return logits

        def weigh(self, volume: torch.Tensor) -> torch.Tensor:
            """How much each slice counts: (batch, depth), each row summing to 1."""
            return self._look(volume)[1]

        def _look(self, volume: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            count, channels, depth, rows, columns = volume.shape
            slices = volume.transpose(1, 2).reshape(count * depth, channels, rows, columns)
            features = self.encoder(slices).view(count, depth, -1)
            score = self.weight(self.content(features).tanh() * self.gate(features).sigmoid()).squeeze(-1)
            flat = slices.flatten(1).view(count, depth, -1)
            blank = flat.amax(dim=-1) == flat.amin(dim=-1)
            blank = blank & ~blank.all(dim=1, keepdim=True)
            return features, score.float().masked_fill(blank, float("-inf")).softmax(dim=1).to(features.dtype)

    return AttentionPooling()
