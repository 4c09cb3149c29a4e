"""Augmentation of training images, from random numbers that depend on (seed, epoch, sample) alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from core.config import AugmentationConfig
from core.dataset.intensity_changes import change_intensity
from core.mri import Plane

STREAM = 2
"""Keeps these random numbers apart from those of the batch order (:mod:`core.dataset.batches`)."""
GEOMETRY_DRAWS = 5
INTENSITY_DRAWS = 14
"""Random numbers of a sample for its place and for its grey values."""


def augment(
    images: torch.Tensor,
    config: AugmentationConfig,
    seed: int,
    epoch: int,
    indices: NDArray[np.int64],
    mirrors: NDArray[np.bool_] | None = None,
) -> torch.Tensor:
    """Flip, turn, scale and shift examples at random, and change their grey values.

    A sample's random numbers come from (seed, epoch, its index) alone: neither the batch it stands in nor a
    stop and resume changes it. Each sample always draws the same numbers, so switching one change off leaves
    the others as they were. All images of one example (slices of a volume, sequences) change alike.

    Parameters
    ----------
    images
        uint8 tensor (n, ..., size, size), on any device; not changed.
    config
        How far each change may go.
    seed, epoch
        Of the run, and of the pass over the data.
    indices
        (n,): the samples' row numbers in the table.
    mirrors
        (n,): whether a horizontal flip of the sample exchanges left and right (:func:`find_mirrors`); where it does
        not, ``flip_planes`` "left_right" leaves it as it is. By default it does everywhere.

    Returns
    -------
    torch.Tensor
        float32 of the same shape on the same device, in 0..255; what comes in from outside is black.
    """
    generators = [np.random.default_rng([seed, epoch, int(index), STREAM]) for index in indices]
    draws = np.array([generator.random(GEOMETRY_DRAWS + INTENSITY_DRAWS) for generator in generators])
    flipped = draws[:, 0] < config.flip_probability
    if mirrors is not None and config.flip_planes == "left_right":
        flipped = flipped & mirrors
    ones = (1,) * (images.ndim - 1)
    chosen = torch.from_numpy(flipped).to(images.device).view(-1, *ones)
    changed = torch.where(chosen, images.flip(-1), images).to(torch.float32)
    if config.rotation_degrees or config.scale_fraction or config.shift_fraction:
        changed = _move(changed, _affine(draws[:, 1:GEOMETRY_DRAWS] * 2 - 1, config))
    return change_intensity(changed, config, draws[:, GEOMETRY_DRAWS:] * 2 - 1, generators)


def find_mirrors(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return for each row of a slice table whether a horizontal flip of its image exchanges left and right.

    It does for axial and coronal images. One whose plane is not known (a loose PNG) counts as such, for nearly all
    exported ones are axial.
    """
    return (rows["plane"] != str(Plane.SAGITTAL)).to_numpy(dtype=bool)


def _move(images: torch.Tensor, matrices: NDArray[np.float32]) -> torch.Tensor:
    """Resample (n, ..., rows, columns) along one matrix (2, 3) per example."""
    theta = torch.from_numpy(matrices).to(images.device)
    rows, columns = images.shape[-2:]
    layers = images.reshape(len(images), -1, rows, columns)
    grid = torch.nn.functional.affine_grid(theta, [len(images), 1, rows, columns], align_corners=False)
    moved = torch.nn.functional.grid_sample(layers, grid, padding_mode="zeros", align_corners=False)
    return moved.view_as(images)


def _affine(draws: NDArray[np.float64], config: AugmentationConfig) -> NDArray[np.float32]:
    """Matrices (n, 2, 3) from output to input coordinates (-1..1, x then y); draws (n, 4) lie in -1..1."""
    angle = np.deg2rad(config.rotation_degrees) * draws[:, 0]
    shrink = 1 / (1 + config.scale_fraction * draws[:, 1])
    shift = -2 * config.shift_fraction * draws[:, 2:]
    cosine, sine = np.cos(angle) * shrink, np.sin(angle) * shrink
    rows = np.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], axis=1)
    return rows.reshape(-1, 2, 3).astype(np.float32)
