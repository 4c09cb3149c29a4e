"""Mixup: blend each training example and its label with another of its batch (Zhang et al. 2018)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

STREAM = 4
"""Keeps these random numbers apart from those of order, augmentation and dropout."""


def mix_examples(
    images: torch.Tensor,
    labels: torch.Tensor,
    class_count: int,
    alpha: float,
    seed: int,
    epoch: int,
    indices: NDArray[np.int64],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend every example with the next one of its batch.

    An example's share comes from (seed, epoch, its index); who is next comes from the order of the batch, which
    (seed, epoch) decide. A resumed run therefore mixes as one that never paused.

    Parameters
    ----------
    images
        float32 (n, ...), before normalisation; not changed.
    labels
        int64 (n,).
    class_count
        Number of classes.
    alpha
        Of the Beta distribution; larger mixes more evenly.
    seed, epoch, indices
        As in :func:`core.dataset.augment.augment`.

    Returns
    -------
    tuple
        Blended images, and float32 (n, class_count) shares of the classes, each row summing to 1. An example keeps at
        least half of itself.
    """
    drawn = np.array(
        [np.random.default_rng([seed, epoch, int(index), STREAM]).beta(alpha, alpha) for index in indices], np.float32
    )
    own = torch.from_numpy(np.maximum(drawn, 1 - drawn)).to(images.device)
    share = own.view(-1, *(1,) * (images.ndim - 1))
    truth = torch.nn.functional.one_hot(labels, class_count).to(images.device, torch.float32)
    mixed = share * images + (1 - share) * images.roll(-1, dims=0)
    return mixed, own[:, None] * truth + (1 - own[:, None]) * truth.roll(-1, dims=0)
