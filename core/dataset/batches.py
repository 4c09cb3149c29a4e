"""Batches of an epoch, in an order that depends on (seed, epoch) alone, so that a resumed run continues it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import AugmentationConfig
from core.dataset.augment import augment, find_mirrors
from core.dataset.mixup import mix_examples
from core.dataset.slice_table import SliceTable

STREAM = 1
"""Keeps these random numbers apart from those of the augmentation (:mod:`core.dataset.augment`)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Images for one optimiser step."""

    indices: NDArray[np.int64]
    """(n,): row numbers in the table."""
    images: torch.Tensor
    """uint8 (n, size, size)."""
    labels: torch.Tensor
    """int64 (n,)."""


def count_steps(image_count: int, batch_size: int) -> int:
    """Return the number of batches of one epoch; a last batch of one image joins the one before it."""
    return len(_bounds(image_count, batch_size))


def slice_batch(count: int, parts: int) -> list[slice]:
    """Split a batch of `count` images into `parts` of nearly equal size, or fewer, so that no part holds a single image."""
    parts = max(1, min(parts, count // 2))
    bounds = [count * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(bounds)]


def batch_order(
    rows: NDArray[np.int64], batch_size: int, seed: int, epoch: int, start_step: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Yield the row numbers of each batch of an epoch, in an order that depends on (seed, epoch) only.

    A last batch that would hold one single image is merged into the one before it, because batch
    normalisation cannot train on one; no image is dropped.

    Parameters
    ----------
    rows
        Row numbers of the training part, in any order.
    batch_size
        Images per step.
    seed, epoch
        Of the run, and of the pass over the data.
    start_step
        Batches to skip: where an interrupted epoch is resumed.
    """
    order = np.random.default_rng([seed, epoch, 0, STREAM]).permutation(np.sort(rows))
    for start, stop in _bounds(len(order), batch_size)[start_step:]:
        yield order[start:stop]


def train_batches(
    table: SliceTable, rows: NDArray[np.int64], batch_size: int, seed: int, epoch: int, start_step: int = 0
) -> Iterator[Batch]:
    """Yield every image of an epoch once, in the order of :func:`batch_order`, with its label.

    Parameters
    ----------
    table
        The prepared cohort.
    rows, batch_size, seed, epoch, start_step
        As in :func:`batch_order`.
    """
    labels = table.rows["label"].to_numpy()
    for indices in batch_order(rows, batch_size, seed, epoch, start_step):
        yield Batch(
            indices=indices,
            images=torch.from_numpy(table.images(indices)),
            labels=torch.from_numpy(labels[indices].astype(np.int64)),
        )


def augment_batch(
    batch: Batch, table: SliceTable, config: AugmentationConfig, seed: int, epoch: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch as training feeds it to the network: augmented, and blended by mixup.

    Parameters
    ----------
    batch, table
        The batch, and the prepared cohort that it comes from.
    config, seed, epoch
        How far each change may go; of the run, and of the pass over the data.

    Returns
    -------
    tuple
        float32 images in 0..255, of the batch's shape and on its device; and its labels: int64 (n,), or with mixup
        float32 (n, classes) shares.
    """
    mirrors = find_mirrors(table.rows.iloc[batch.indices])
    changed = augment(batch.images, config, seed, epoch, batch.indices, mirrors)
    if not config.mixup_alpha:
        return changed, batch.labels
    return mix_examples(changed, batch.labels, len(table.class_names), config.mixup_alpha, seed, epoch, batch.indices)


def _bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    starts = list(range(0, count, batch_size))
    if batch_size > 1 and count % batch_size == 1 and count > 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True)) if starts else []
