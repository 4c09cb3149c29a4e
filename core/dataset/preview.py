"""Previews: a few examples as prepared, and as augmentation changes them from epoch to epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import RunConfig
from core.data.study import Cohort, Study
from core.dataset.batches import Batch, augment_batch
from core.dataset.table import build_table
from core.errors import DataError
from core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preview:
    """One example, once as it is and several times as augmented in training."""

    study_id: str
    label: int
    sequence: str
    slice_index: int
    original: NDArray[np.uint8]
    """(size, size): of a volume the middle slice, of several sequences the first."""
    changed: tuple[NDArray[np.uint8], ...]
    """The same in one epoch after the other."""
    shares: tuple[tuple[float, ...], ...]
    """How much of each class each of these counts as: all of its own, but for mixup."""


def preview_examples(
    cohort: Cohort, config: RunConfig, settings: Settings, count: int = 4, epochs: int = 4
) -> tuple[Preview, ...]:
    """Prepare the first labelled studies, both classes in turn, and augment an example of each as training does.

    Mixup blends these examples with each other, as it blends those of a batch in training.

    Parameters
    ----------
    cohort, config, settings
        What would be trained on, how, and where the cache lies.
    count
        Studies to show.
    epochs
        How often each is changed.

    Raises
    ------
    DataError
        No study has a label, or none can be used.
    """
    few = _choose(cohort, count)
    table = build_table(replace(cohort, studies=few), config.prep, settings, jobs=1)
    places = table.rows.groupby("study_id", sort=False).indices
    indices = np.array([rows[len(rows) // 2] for rows in places.values()], np.int64)
    images = table.images(indices)
    labels = torch.from_numpy(table.rows["label"].to_numpy(dtype=np.int64)[indices])
    batch = Batch(indices=indices, images=torch.from_numpy(images), labels=labels)
    changed, shares = [], []
    for epoch in range(1, epochs + 1):
        seen, truth = augment_batch(batch, table, config.augmentation, config.seed, epoch)
        changed.append(seen.round().numpy())
        one_class = truth.ndim == 1
        shares.append((torch.nn.functional.one_hot(truth, len(cohort.class_names)) if one_class else truth).tolist())
    found = []
    for place, index in enumerate(indices):
        row = table.rows.iloc[index]
        found.append(
            Preview(
                study_id=str(row["study_id"]),
                label=int(row["label"]),
                sequence=str(row["sequence"]),
                slice_index=int(row["slice_index"]),
                original=show_example(images[place], config),
                changed=tuple(show_example(of_epoch[place].astype(np.uint8), config) for of_epoch in changed),
                shares=tuple(tuple(of_epoch[place]) for of_epoch in shares),
            )
        )
    return tuple(found)


def _choose(cohort: Cohort, count: int) -> tuple[Study, ...]:
    labelled = cohort.labelled
    if not labelled:
        raise DataError(f"No study of {cohort.root} has a label, so there is nothing to train on; add a label table.")
    by_class = [[study for study in labelled if study.label == label] for label in range(len(cohort.class_names))]
    turns = [group[place] for place in range(count) for group in by_class if place < len(group)]
    return tuple(turns[:count])


def show_example(example: NDArray[np.uint8], config: RunConfig) -> NDArray[np.uint8]:
    """One grey image of an example: the middle layer of a volume, the first channel (the middle one of neighbours)."""
    if example.ndim == 2:
        return example
    channel = example[1] if config.prep.channels == "neighbours" else example[0]
    return channel if channel.ndim == 2 else channel[len(channel) // 2]
