"""Random changes of training pictures, drawn from (seed, epoch, sample) and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.config import AugmentationConfig

if TYPE_CHECKING:
    import torch

__all__ = ["augment"]

STREAM = 2
"""Keeps these random numbers apart from those of the batch order (:mod:`core.data.batches`)."""


def augment(
    pictures: torch.Tensor, config: AugmentationConfig, seed: int, epoch: int, indices: NDArray[np.int64]
) -> torch.Tensor:
    """Flip, turn, scale and shift pictures at random.

    A sample's random numbers come from (seed, epoch, its index) alone: neither the batch it stands in nor a
    stop and resume changes it. Each sample always draws the same numbers, so switching one change off leaves
    the others as they were.

    Parameters
    ----------
    pictures
        uint8 tensor (n, size, size), on any device; not changed.
    config
        How far each change may go.
    seed, epoch
        Of the run, and of the pass over the data.
    indices
        (n,): the samples' row numbers in the table.

    Returns
    -------
    torch.Tensor
        float32 (n, size, size) on the same device, in 0..255; what comes in from outside is black.
    """
    import torch

    draws = np.array([np.random.default_rng([seed, epoch, int(index), STREAM]).random(5) for index in indices])
    flipped = torch.from_numpy(draws[:, 0] < config.flip_probability).to(pictures.device)
    changed = torch.where(flipped[:, None, None], pictures.flip(-1), pictures).to(torch.float32)
    if not (config.rotation_degrees or config.scale_fraction or config.shift_fraction):
        return changed
    theta = torch.from_numpy(_affine(draws[:, 1:] * 2 - 1, config)).to(pictures.device)
    shape = (len(changed), 1, *changed.shape[1:])
    grid = torch.nn.functional.affine_grid(theta, list(shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(changed.view(shape), grid, padding_mode="zeros", align_corners=False)
    return moved.view_as(changed)


def _affine(draws: NDArray[np.float64], config: AugmentationConfig) -> NDArray[np.float32]:
    """Matrices (n, 2, 3) from output to input coordinates (-1..1, x then y); draws (n, 4) lie in -1..1."""
    angle = np.deg2rad(config.rotation_degrees) * draws[:, 0]
    shrink = 1 / (1 + config.scale_fraction * draws[:, 1])
    shift = -2 * config.shift_fraction * draws[:, 2:]
    cosine, sine = np.cos(angle) * shrink, np.sin(angle) * shrink
    rows = np.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], axis=1)
    return rows.reshape(-1, 2, 3).astype(np.float32)
