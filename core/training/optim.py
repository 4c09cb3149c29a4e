"""The optimiser, the learning rate schedule and the class weights of the loss, as the configuration names them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR, StepLR

from core.config import RunConfig


def build_optimiser(config: RunConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser of all weights of a network."""
    chosen = config.optimiser
    if chosen.optimiser == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay)
    if chosen.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay)
    return torch.optim.SGD(
        model.parameters(), lr=chosen.learning_rate, momentum=chosen.momentum, weight_decay=chosen.weight_decay
    )


def build_scheduler(config: RunConfig, optimiser: torch.optim.Optimizer, steps: int) -> LRScheduler:
    """Return the learning rate schedule, for `steps` batches per epoch; see :func:`steps_per_batch`."""
    schedule = config.schedule
    if schedule.schedule == "step":
        return StepLR(optimiser, step_size=schedule.step_size, gamma=schedule.gamma)
    if schedule.schedule == "one_cycle":
        # Only the learning rate follows the cycle; the momentum stays as configured.
        return OneCycleLR(
            optimiser, max_lr=config.optimiser.learning_rate, total_steps=config.epochs * steps, cycle_momentum=False
        )
    return ConstantLR(optimiser, factor=1.0)


def steps_per_batch(config: RunConfig) -> bool:
    """Whether the schedule moves after every batch; else it moves after every epoch."""
    return config.schedule.schedule == "one_cycle"


def build_class_weights(config: RunConfig, labels: NDArray[np.int64], class_count: int) -> torch.Tensor | None:
    """Return the weight of each class in the training loss, float32 (classes,); None where all count alike.

    "balanced" is the inverse of each class's share of the training examples, scaled to a mean of 1 over these.
    """
    if config.class_weights == "none":
        return None
    counts = np.bincount(labels, minlength=class_count)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return torch.from_numpy(weights.astype(np.float32))
