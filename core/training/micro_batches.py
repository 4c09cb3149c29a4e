"""A batch in parts, for the processes and their micro-batches: together the batch that a single process takes whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.dataset.batches import Batch, augment_batch, slice_batch
from core.models.forward import to_input
from core.training import distributed
from core.training.state import TrainingSpec, TrainingState

STREAM = 3
"""Keeps a network's own random numbers (dropout) apart from those of batches and augmentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """One part of a batch, for one forward and backward pass."""

    number: int
    """Of all parts of the batch, over all processes."""
    examples: slice
    """Which examples of the batch."""
    scale: int
    """Factor of its loss. DistributedDataParallel averages gradients over the processes, and the sum is wanted: so the
    number of processes. 0 where a batch is too small to give this process a part: it repeats the first part without
    counting it, because every process must take part in the exchange of gradients."""


def split_batch(count: int, micro_batches: int) -> list[MicroBatch]:
    """Return this process's parts of a batch of `count` examples, `micro_batches` at most and one at least."""
    processes, rank = distributed.world_size(), distributed.rank()
    parts = slice_batch(count, processes * micro_batches)
    own = range(rank * micro_batches, min((rank + 1) * micro_batches, len(parts)))
    if not own:
        return [MicroBatch(number=0, examples=parts[0], scale=0)]
    return [MicroBatch(number=number, examples=parts[number], scale=processes) for number in own]


def load_micro_batch(
    spec: TrainingSpec, state: TrainingState, indices: NDArray[np.int64], part: MicroBatch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one part of a batch, augmented as it would be in the whole batch.

    Parameters
    ----------
    spec, state
        The training.
    indices
        (n,): row numbers of the whole batch.
    part
        Which of them.

    Returns
    -------
    tuple
        The network's input (:func:`core.models.forward.to_input`), and the labels on its device: int64 (examples,), or
        with mixup float32 (examples, classes) shares.
    """
    config = spec.config
    drawn, count = indices[part.examples], len(indices[part.examples])
    if config.augmentation.mixup_alpha:
        # Mixup blends each example with the next of the whole batch: the part's last one needs one more.
        drawn = np.append(drawn, indices[part.examples.stop % len(indices)])
    batch = Batch(indices=drawn, images=state.feed.take(drawn), labels=torch.from_numpy(spec.labels(drawn)))
    images, labels = augment_batch(batch, spec.table, config.augmentation, config.seed, state.epoch)
    inputs = to_input(images[:count], state.architecture, state.compute)
    return inputs, labels[:count].to(state.compute.device, non_blocking=True)


def batch_weight(spec: TrainingSpec, state: TrainingState, indices: NDArray[np.int64]) -> float:
    """Return what the summed losses of a batch are divided by: as in torch's mean, the class weights of its examples."""
    if state.class_weights is None or spec.config.augmentation.mixup_alpha:
        return float(len(indices))
    return float(state.class_weights.cpu()[spec.labels(indices)].sum())


def seed_dropout(spec: TrainingSpec, state: TrainingState, number: int) -> None:
    """Seed the network's own random numbers for one part of a step; the first part's seed is that of a whole batch."""
    key = [spec.config.seed, state.epoch, state.step, STREAM, *([number] if number else [])]
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
