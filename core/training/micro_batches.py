"""A batch in parts: one for each process and micro-batch, together the batch that a single process takes whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.dataset.batches import Batch, change_batch

if TYPE_CHECKING:
    import torch

    from core.training.job import Job, Training


STREAM = 3
"""Keeps a network's own random numbers (dropout) apart from those of batches and augmentation."""


def load_micro_batch(
    job: Job, training: Training, indices: NDArray[np.int64], part: slice
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take one part of a batch, changed at random as in the whole batch.

    Parameters
    ----------
    job, training
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
    import torch

    from core.models.forward import to_input

    config = job.config
    drawn, count = indices[part], len(indices[part])
    if config.augmentation.mixup_alpha:
        # Mixup blends each example with the next of the whole batch: the part's last one needs one more.
        drawn = np.append(drawn, indices[part.stop % len(indices)])
    batch = Batch(indices=drawn, images=training.feed.take(drawn), labels=torch.from_numpy(job.labels(drawn)))
    images, labels = change_batch(batch, job.table, config.augmentation, config.seed, training.epoch)
    inputs = to_input(images[:count], training.architecture, training.compute)
    return inputs, labels[:count].to(training.compute.device, non_blocking=True)


def weigh_batch(job: Job, training: Training, indices: NDArray[np.int64]) -> float:
    """What a batch's summed losses are divided by, as torch's mean has it: the weights of the classes of its examples."""
    if training.class_weights is None or job.config.augmentation.mixup_alpha:
        return float(len(indices))
    return float(training.class_weights.cpu()[job.labels(indices)].sum())


def seed_dropout(job: Job, training: Training, part: int) -> None:
    """Set the network's own random numbers for one part of a step; those of the first are as without parts."""
    import torch

    key = [job.config.seed, training.epoch, training.step, STREAM, *([part] if part else [])]
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
