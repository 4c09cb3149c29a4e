"""Find the tumour, then classify its region: two networks in one (after Pei et al. 2019)."""

from __future__ import annotations

import torch
from monai.networks.nets import ResNet, UNet
from torch import nn

MARGIN = 0.15
"""Border around the tumour's box, as a share of the box's side."""
SMALLEST = 0.2
"""Least side of the box, as a share of the volume's: a few stray voxels must not become the whole image."""
OUTLYING = 0.01
"""Share of the mask that may lie outside the box on either side: stray voxels do not stretch it."""
MULTIPLE = 8
"""The segmentation halves each side three times."""


class TwoStage(nn.Module):
    """A 3D U-Net and a 3D classifier of what it finds; one module and one checkpoint hold both.

    (batch, channels, depth, size, size) -> logits (batch, class_count). Weights start at random.

    Pei et al. (BrainLes 2019) segment the tumour with one 3D network and classify its region with a second. Here the
    region's box is cut out of the volume with the mask as one more channel, resized, and classified by a small 3D
    ResNet. Where nothing is found, the whole head is classified.

    The first stage is to be trained on masks, then frozen (:meth:`freeze_segmenter`): the second sees the same regions
    in training and in prediction.
    """

    stage_one_trained: torch.Tensor

    def __init__(self, class_count: int, channels: int) -> None:
        super().__init__()
        self.segmenter = UNet(
            spatial_dims=3,
            in_channels=channels,
            out_channels=1,
            channels=(16, 32, 64, 128),
            strides=(2, 2, 2),
            num_res_units=1,
            norm="INSTANCE",
        )
        self.classifier = ResNet(
            block="basic",
            layers=[1, 1, 1, 1],
            block_inplanes=[32, 64, 128, 256],
            spatial_dims=3,
            n_input_channels=channels + 1,
            conv1_t_size=3,
            conv1_t_stride=1,
            num_classes=class_count,
        )
        self.register_buffer("stage_one_trained", torch.zeros((), dtype=torch.bool))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.crop(volume))
        return logits

    def segment(self, volume: torch.Tensor) -> torch.Tensor:
        """Logits of the mask (batch, 1, depth, size, size); the volume is padded to what can be halved, and cut back."""
        sides = volume.shape[2:]
        extra = [-side % MULTIPLE for side in sides]
        padded = nn.functional.pad(volume, (0, extra[2], 0, extra[1], 0, extra[0]))
        mask: torch.Tensor = self.segmenter(padded)[:, :, : sides[0], : sides[1], : sides[2]]
        return mask

    def crop(self, volume: torch.Tensor) -> torch.Tensor:
        """The tumour's region with its mask: (batch, channels + 1, depth, size / 2, size / 2)."""
        mask, box = self._find_region(volume)
        return cut_box(torch.cat([volume, mask.to(volume.dtype)], dim=1), box)

    def uncrop(self, volume: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Put maps (batch, d, rows, columns) of the region back to its place in the volume, 0 around it."""
        return paste_box(maps, self._find_region(volume)[1], volume.shape[2:])

    def train(self, mode: bool = True) -> TwoStage:
        """Set training mode on the classifier alone where the first stage is trained: that stays as it is."""
        super().train(mode)
        self.segmenter.train(mode and not self.segmenter_frozen)
        return self

    @property
    def segmenter_frozen(self) -> bool:
        """Whether the first stage has been trained."""
        return self.stage_one_trained.device.type != "meta" and bool(self.stage_one_trained)

    def freeze_segmenter(self) -> None:
        """End the first stage: its weights change no more."""
        self.stage_one_trained.fill_(True)
        self.segmenter.requires_grad_(False).eval()

    def _find_region(self, volume: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mask's probabilities (batch, 1, depth, size, size) and the box (batch, 3, 2) around it."""
        with torch.no_grad():
            mask = self.segment(volume).float().sigmoid()
            return mask, find_box(mask[:, 0] > 0.5, volume.abs().amax(dim=1) > 0)


def find_box(found: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
    """Find the box to classify.

    Parameters
    ----------
    found
        bool (batch, depth, rows, columns): the tumour.
    head
        bool, likewise: what to take where no tumour is found (all of the volume where this is empty too).

    Returns
    -------
    torch.Tensor
        float32 (batch, 3, 2): start and stop of each axis as shares of its side, within 0..1 but for the margin. Rows
        and columns have the same length, so that the image is not distorted.
    """
    empty = ~found.flatten(1).any(dim=1)
    chosen = torch.where(empty[:, None, None, None], head, found)
    chosen = chosen | ~chosen.flatten(1).any(dim=1)[:, None, None, None]
    spans = []
    for axis in (1, 2, 3):
        others = [other for other in (1, 2, 3) if other != axis]
        share = chosen.float().sum(dim=others)
        share = share.cumsum(dim=1) / share.sum(dim=1, keepdim=True)
        side = share.shape[1]
        start = (share <= OUTLYING).sum(dim=1) / side
        stop = ((share < 1 - OUTLYING).sum(dim=1) + 1).clamp(max=side) / side
        spans.append(torch.stack([start, stop], dim=1))
    box = torch.stack(spans, dim=1)
    centre, length = box.mean(dim=2), (box[..., 1] - box[..., 0]) * (1 + 2 * MARGIN)
    plane = length[:, 1:].amax(dim=1, keepdim=True).expand(-1, 2)
    length = torch.cat([length[:, :1], plane], dim=1).clamp(min=SMALLEST, max=1.0)
    half = length / 2
    centre = torch.minimum(torch.maximum(centre, half), 1 - half)
    return torch.stack([centre - half, centre + half], dim=2)


def cut_box(volume: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """Cut each example's box out of a volume (batch, channels, depth, rows, columns) and halve rows and columns."""
    depth, rows, columns = volume.shape[2:]
    centre, half = box.sum(dim=2) - 1, box[..., 1] - box[..., 0]
    grid = _sampling_grid(half, centre, (depth, max(rows // 2, 1), max(columns // 2, 1)))
    return nn.functional.grid_sample(volume.float(), grid, align_corners=False)


def paste_box(maps: torch.Tensor, box: torch.Tensor, sides: tuple[int, ...]) -> torch.Tensor:
    """Undo :func:`cut_box`: (batch, d, rows, columns) of the box -> (batch, *sides), 0 outside the box."""
    centre, half = box.sum(dim=2) - 1, box[..., 1] - box[..., 0]
    grid = _sampling_grid(1 / half, -centre / half, sides)
    inside = (grid.abs() <= 1).all(dim=-1)
    pasted = nn.functional.grid_sample(maps[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    return pasted * inside


def _sampling_grid(scale: torch.Tensor, shift: torch.Tensor, sides: tuple[int, ...]) -> torch.Tensor:
    """Where to sample, (batch, *sides, 3), when each axis (batch, 3) is scaled and shifted in -1..1."""
    theta = torch.zeros(len(scale), 3, 4, device=scale.device)
    for place, axis in enumerate((2, 1, 0)):  # affine_grid counts columns first
        theta[:, place, place] = scale[:, axis]
        theta[:, place, 3] = shift[:, axis]
    return nn.functional.affine_grid(theta, [len(scale), 1, *sides], align_corners=False)
