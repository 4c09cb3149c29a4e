"""TensorBoard event files of a run, as ``tensorboard --logdir`` reads them.

A run keeps them when its folder holds a folder ``tensorboard``; they are not part of its configuration, because they do
not change the result. Whenever a trainer starts, the file is written again from the run's epochs, so that a kill and a
resume repeat no epoch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from core.errors import ConfigError
from core.files import storage_errors
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


GIBIBYTE = 2**30


def has_tensorboard() -> bool:
    """Whether the package is installed; it is an extra."""
    return find_spec("tensorboard") is not None


def check_tensorboard() -> None:
    """Raise a ConfigError that names the remedy where the package is missing."""
    if not has_tensorboard():
        raise ConfigError(
            "TensorBoard event files need the package tensorboard, which is not installed: pip install tensorboard. "
            "A run can also do without, and be written later with: python -m core runs tensorboard RUN."
        )


def write_events(run: RunFolder) -> None:
    """Write a run's event file from the epochs that it has; what was there is replaced.

    Raises
    ------
    ConfigError
        The package is missing.
    StorageError
        The disk is full.
    """
    check_tensorboard()
    with storage_errors(run.events):
        _begin(run, run.epochs()).close()


@contextmanager
def follow_events(run: RunFolder) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each epoch; it does nothing where the run keeps no event files.

    Raises
    ------
    ConfigError
        The run keeps them, and the package is missing.
    """
    if not run.events.is_dir():
        yield lambda: None
        return
    check_tensorboard()
    writer: SummaryWriter | None = None

    def follow() -> None:
        nonlocal writer
        records = run.epochs()
        with storage_errors(run.events):
            if writer is None:
                writer = _begin(run, records)
            elif records:
                _add(writer, records[-1], run.environment().get("class_names", ()))
            writer.flush()

    try:
        yield follow
        if writer is None:  # Nothing was left to train; a kill may have come before the last epoch was told.
            follow()
    finally:
        if writer is not None:
            with storage_errors(run.events):
                writer.close()


def _begin(run: RunFolder, records: Sequence[EpochRecord]) -> SummaryWriter:
    """A new file in the place of the old one, with the configuration and the epochs so far.

    ``purge_step`` tells a TensorBoard that is watching to forget what it has read of the old file.
    """
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(run.events, ignore_errors=True)
    writer = SummaryWriter(log_dir=str(run.events), purge_step=0)
    writer.add_text("configuration", f"```\n{run.config.model_dump_json(indent=1)}\n```", 0)
    names = run.environment().get("class_names", ())
    for record in records:
        _add(writer, record, names)
    return writer


def _add(writer: SummaryWriter, record: EpochRecord, class_names: Sequence[str]) -> None:
    scalars = {
        "loss/training": record.train_loss,
        "loss/validation": record.val_loss,
        "accuracy by slice/training": record.train_accuracy,
        "accuracy by slice/validation": record.val_accuracy,
        "AUROC by patient/training": record.train_patient_auroc,
        "AUROC by patient/validation": record.val_patient_auroc,
        "AUROC by patient/validation, 95% low": record.val_patient_auroc_low,
        "AUROC by patient/validation, 95% high": record.val_patient_auroc_high,
        "optimiser/learning rate": record.learning_rate,
        "optimiser/gradient norm, mean": record.gradient_norm,
        "optimiser/gradient norm, largest": record.gradient_norm_max,
        "machine/images per second": record.images_per_second,
        "machine/memory, GiB": None if record.memory_bytes is None else record.memory_bytes / GIBIBYTE,
        "machine/GPU memory, GiB": None if record.gpu_memory_bytes is None else record.gpu_memory_bytes / GIBIBYTE,
    }
    for tag, value in scalars.items():
        if value is not None:
            writer.add_scalar(tag, value, record.epoch)
    for part, histogram in (("training", record.train_histogram), ("validation", record.val_histogram)):
        for index, counts in enumerate(histogram or ()):
            if sum(counts):
                name = class_names[index] if index < len(class_names) else f"class {index}"
                _add_histogram(writer, f"probability of the positive class/{part}, {name}", counts, record.epoch)


def _add_histogram(writer: SummaryWriter, tag: str, counts: Sequence[int], epoch: int) -> None:
    """Counts in equal bins over 0..1; sums are of the bins' middles."""
    bins = len(counts)
    middles = [(place + 0.5) / bins for place in range(bins)]
    writer.add_histogram_raw(
        tag,
        min=0.0,
        max=1.0,
        num=sum(counts),
        sum=sum(count * middle for count, middle in zip(counts, middles, strict=True)),
        sum_squares=sum(count * middle**2 for count, middle in zip(counts, middles, strict=True)),
        bucket_limits=[(place + 1) / bins for place in range(bins)],
        bucket_counts=list(counts),
        global_step=epoch,
    )
