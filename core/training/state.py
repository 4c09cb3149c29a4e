"""What is trained (TrainingSpec), what changes while it trains (TrainingState), and how far it is (StepReport)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from core.config import RunConfig
from core.dataset.batches import count_steps
from core.dataset.feed import Feed
from core.dataset.predictions import name_patients
from core.dataset.slice_table import SliceTable
from core.dataset.split import PARTS, Split
from core.errors import ConfigError, SplitError
from core.models.forward import Compute
from core.models.registry import Architecture
from core.models.weights import WeightsReport
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord
from core.training import distributed

MaskLoader = Callable[[NDArray[np.int64]], dict[int, NDArray[np.bool_]]]
"""Rows of the table -> tumour masks, bool (depth, size, size), of those rows that have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """How far training is, reported after every batch."""

    phase: str
    epoch: int
    epochs: int
    """Of the run; while a first stage trains, of that stage."""
    step: int
    steps: int
    images_per_second: float
    """Of the epoch's training phase so far."""
    done: float
    """Share of the whole run, 0..1; a validation image counts a third of a training image. While a first stage trains,
    share of that stage."""
    loss: float | None = None
    """Of the last training step."""
    learning_rate: float | None = None
    """Of the next training step."""
    gradient_norm: torch.Tensor | None = None
    """Of the last training step, 0-d and on its device. Reading it waits for the step, so only who shows it reads it,
    and at once: the next epoch overwrites it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSpec:
    """What is trained; does not change while it trains."""

    config: RunConfig
    table: SliceTable
    split: Split
    train_rows: NDArray[np.int64]
    val_rows: NDArray[np.int64]
    run: RunFolder | None = None
    """Where results go; None writes nothing. Of several processes only rank 0 has one."""
    synthetic: bool = False
    load_masks: MaskLoader | None = None
    log: logging.Logger
    on_step: Callable[[StepReport], None]
    stop: Callable[[], bool]

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return count_steps(len(self.train_rows), self.config.batch_size)

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Class indices of some rows of the table."""
        return self.table.rows["label"].to_numpy(dtype=np.int64)[rows]

    def patients(self, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        """Patients of some rows of the table."""
        return name_patients(self.table.rows.iloc[rows])


@dataclass(slots=True, kw_only=True, eq=False)
class TrainingState:
    """What changes while training; everything that a resumed run needs."""

    model: nn.Module
    network: nn.Module
    """What a training step calls: the model, or with several processes its DistributedDataParallel."""
    optimiser: torch.optim.Optimizer
    scheduler: LRScheduler
    architecture: Architecture
    compute: Compute
    weights: WeightsReport
    feed: Feed
    """Loads images."""
    train_logits: torch.Tensor
    """float32 (training slices, classes) on the CPU: outputs of this epoch's steps, NaN where not yet."""
    class_weights: torch.Tensor | None = None
    """float32 (classes,) on the device: weight of each class in the training loss; None counts each example alike."""
    gradient_norms: torch.Tensor
    """float32 (steps,) on the device: of this epoch's steps, NaN where not yet."""
    loss: float | None = None
    """Of the last training step."""
    epoch: int = 1
    """The epoch in progress."""
    step: int = 0
    """Batches of it that are done."""
    seconds: float = 0.0
    """Spent on them."""
    learning_rate: float = 0.0
    """At the epoch's first step."""
    val_scores: torch.Tensor
    """float64 (epochs, validation patients, classes + 2) on the CPU: a patient's logits, the sum of its slices' losses and how
    many of them were right; NaN where not yet."""
    records: list[EpochRecord] = field(default_factory=list)
    """Of the finished epochs."""
    intensity: dict[str, list[float]] | None = None
    """Grey histogram of the training images; computed when the first checkpoint is written."""

    @property
    def best(self) -> EpochRecord | None:
        """The best epoch so far."""
        return next((record for record in reversed(self.records) if record.best), None)


def describe_training(
    config: RunConfig,
    table: SliceTable,
    split: Split,
    *,
    run: RunFolder | None = None,
    synthetic: bool = False,
    load_masks: MaskLoader | None = None,
    on_step: Callable[[StepReport], None] = lambda report: None,
    stop: Callable[[], bool] = lambda: False,
    log: logging.Logger | None = None,
) -> TrainingSpec:
    """Return the spec of a training; log sizes, class names and the accuracy of the most frequent class.

    Parameters
    ----------
    config, table, split, run, synthetic, load_masks, on_step, stop, log
        As in :func:`core.training.loop.fit`.

    Raises
    ------
    SplitError
        No image is left in training or validation.
    ConfigError
        The batch is too small for the processes and micro-batches.
    """
    log = log or logging.getLogger(__name__)
    processes = distributed.world_size()
    parts = processes * config.micro_batches
    if parts > 1 and config.batch_size < 2 * parts:
        raise ConfigError(
            f"batch_size {config.batch_size} cannot be cut into {parts} parts ({processes} processes x micro_batches "
            f"{config.micro_batches}) of two images or more; raise it to {2 * parts} or more."
        )
    rows = {part: split.indices(table, part) for part in PARTS}
    for part in ("train", "val"):
        if len(rows[part]) == 0:
            raise SplitError(f"No image is in the {part} part; check that the data are those of the split.")
        counts = np.bincount(table.rows["label"].to_numpy()[rows[part]], minlength=len(table.class_names))
        named = ", ".join(f"{name} {count}" for name, count in zip(table.class_names, counts, strict=True))
        log.info("%s: %d slices (%s); always saying the commonest class is right in %.1f %%",
                 part.upper(), len(rows[part]), named, 100 * counts.max() / counts.sum())  # fmt: skip
    log.info("TEST: %d slices, not evaluated", len(rows["test"]))
    if split.leaky:
        log.warning("The split is by slice: slices of one patient stand in training and validation. It leaks.")
    return TrainingSpec(
        config=config, table=table, split=split, train_rows=rows["train"], val_rows=rows["val"], run=run,
        synthetic=synthetic, load_masks=load_masks, log=log, on_step=on_step, stop=stop,
    )  # fmt: skip
