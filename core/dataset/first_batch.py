"""The first training batch, exactly as the first optimiser step will see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import RunConfig
from core.data.study import Cohort
from core.dataset.batches import augment_batch, count_steps, train_batches
from core.dataset.preview import show_example
from core.dataset.split import Split, make_split
from core.dataset.table import build_table
from core.errors import SplitError
from core.progress import Progress, silent
from core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchExample:
    """One example of the batch."""

    study_id: str
    label: int
    sequence: str
    slice_index: int
    image: NDArray[np.uint8]
    """(size, size), after augmentation: of a volume the middle slice, of several sequences the first."""
    shares: tuple[float, ...]
    """How much of each class it counts as: all of its own, but for mixup."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstBatch:
    """The batch, and how many like it make an epoch."""

    examples: tuple[BatchExample, ...]
    steps: int
    """Batches of an epoch."""
    train_examples: int
    """Examples of an epoch."""
    leaky: bool
    """Whether the split is by slice."""


def preview_first_batch(
    cohort: Cohort, config: RunConfig, settings: Settings, split: Split | None = None, progress: Progress = silent
) -> FirstBatch:
    """Prepare the cohort (as the training would; the cache keeps it), split it, and take the first batch of epoch 1.

    The functions are those of training, so what is shown is what its first optimiser step gets.

    Parameters
    ----------
    cohort, config, settings
        What would be trained on, how, and where the cache lies.
    split
        Who is in which part, where that is settled; by default it is drawn as the trainer would.
    progress
        Called per series; may raise to cancel.

    Raises
    ------
    DataError
        Nothing can be used, or the split cannot be made.
    """
    table = build_table(cohort, config.prep, settings, progress=progress)
    split = split or make_split(table, config.split, cohort.digest)
    rows = split.indices(table, "train")
    if len(rows) == 0:
        raise SplitError("No image is in the train part; check that the data are those of the split.")
    batch = next(train_batches(table, rows, config.batch_size, config.seed, epoch=1))
    changed, truth = augment_batch(batch, table, config.augmentation, config.seed, epoch=1)
    shares = torch.nn.functional.one_hot(truth, len(table.class_names)) if truth.ndim == 1 else truth
    images = changed.round().clamp(0, 255).to(torch.uint8).numpy()
    return FirstBatch(
        examples=tuple(
            BatchExample(
                study_id=str(row["study_id"]),
                label=int(row["label"]),
                sequence=str(row["sequence"]),
                slice_index=int(row["slice_index"]),
                image=show_example(image, config),
                shares=tuple(float(share) for share in counted),
            )
            for (_, row), image, counted in zip(
                table.rows.iloc[batch.indices].iterrows(), images, shares.tolist(), strict=True
            )
        ),
        steps=count_steps(len(rows), config.batch_size),
        train_examples=len(rows),
        leaky=split.leaky,
    )
