"""A multi-scale 3D network over a whole volume (after Mzoughi et al. 2020)."""

from __future__ import annotations

import torch
from torch import nn

WIDTHS = (16, 32, 64)
"""Channels of the three stages of each path."""
JOINT_WIDTH = 128
CONTEXT_DILATION = 2
DROPOUT = 0.3


class Volumetric(nn.Module):
    """Two paths over one volume, local detail and the context of the whole head, merged.

    (batch, 1, depth, size, size) -> logits (batch, class_count); depth at least 2, size at least 16. Weights start at
    random.

    Mzoughi et al. (J Digit Imaging 33:903) classify whole T1wCE volumes with small kernels and merge local and global
    context. Here one path sees the volume as it is, another the volume halved in plane and with dilated kernels, so
    that one of its voxels sees most of a head; their features are concatenated, mixed and averaged over the volume.
    All kernels are 3 x 3 x 3. The published network's fully connected layers are left out: an average needs no fixed
    size of the volume.
    """

    def __init__(self, class_count: int) -> None:
        super().__init__()
        self.local = _build_path(dilation=1)
        self.context = _build_path(dilation=CONTEXT_DILATION)
        self.joint = _build_block(2 * WIDTHS[-1], JOINT_WIDTH, stride=1, dilation=1)
        self.dropout = nn.Dropout(DROPOUT)
        self.fc = nn.Linear(JOINT_WIDTH, class_count)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        near = self.local(volume)
        far = self.context(nn.functional.avg_pool3d(volume, (1, 2, 2)))
        far = nn.functional.interpolate(far, size=near.shape[2:], mode="trilinear", align_corners=False)
        merged: torch.Tensor = self.joint(torch.cat([near, far], dim=1))
        logits: torch.Tensor = self.fc(self.dropout(merged.mean(dim=(2, 3, 4))))
        return logits


def _build_path(dilation: int) -> nn.Sequential:
    """Three stages of two convolutions; the plane is halved by each, the depth by the last two."""
    blocks: list[nn.Module] = []
    inputs = 1
    for number, width in enumerate(WIDTHS):
        depth_stride = 1 if number == 0 else 2
        blocks += [
            _build_block(inputs, width, stride=(depth_stride, 2, 2), dilation=1),
            _build_block(width, width, stride=1, dilation=dilation),
        ]
        inputs = width
    return nn.Sequential(*blocks)


def _build_block(inputs: int, outputs: int, stride: int | tuple[int, int, int], dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )
