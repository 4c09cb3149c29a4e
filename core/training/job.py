"""What a training is about (Job), and what changes while it runs (Training): made ready here, used by the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.config import RunConfig
from core.data.study import Cohort
from core.dataset.batches import count_steps
from core.dataset.feed import Feed, open_feed
from core.dataset.predictions import name_patients
from core.dataset.split import PARTS, Split
from core.dataset.table import SliceTable
from core.errors import ConfigError, SplitError
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord
from core.training.distributed import ALONE, World

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.optim.lr_scheduler import LRScheduler

    from core.models.forward import Compute
    from core.models.registry import Architecture
    from core.models.weights import WeightsReport


class TrainingStopped(Exception):  # noqa: N818 - not an error: somebody asked for it
    """Training stopped at a batch boundary because it was asked to; everything needed to go on is saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """How far training is, told after every batch."""

    phase: str
    epoch: int
    epochs: int
    """Of the run; while a first stage trains, of that."""
    step: int
    steps: int
    images_per_second: float
    """Of the epoch's training phase so far."""
    done: float
    """Share of the whole run, 0..1; validation images count a third of training images. While a first stage trains,
    share of that."""
    loss: float | None = None
    """Of the last training step."""
    learning_rate: float | None = None
    """Of the training step that comes next."""
    gradient_norm: torch.Tensor | None = None
    """Of the last training step, 0-d and on its device: reading it waits for the step, so only who shows it does,
    at once: the next epoch writes over it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """What a training is about; does not change while it runs."""

    config: RunConfig
    table: SliceTable
    split: Split
    train_rows: NDArray[np.int64]
    val_rows: NDArray[np.int64]
    test_count: int
    run: RunFolder | None
    cohort: Cohort | None
    log: logging.Logger
    on_step: Callable[[StepReport], None]
    stop: Callable[[], bool]
    world: World = ALONE
    """The processes that train together."""

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
class Training:
    """What changes while a training runs: all that a resumed run needs."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    scheduler: LRScheduler
    architecture: Architecture
    compute: Compute
    weights: WeightsReport
    feed: Feed
    """Where the images of a step come from."""
    train_logits: torch.Tensor
    """(training slices, classes) float32 on the CPU: what the steps of this epoch said, NaN where not yet."""
    class_weights: torch.Tensor | None = None
    """(classes,) on the device: how much each class counts in the training loss; None counts each example alike."""
    gradient_norms: torch.Tensor
    """(steps,) float32 on the device: of the steps of this epoch, NaN where not yet."""
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
    records: list[EpochRecord] = field(default_factory=list)
    """Of the finished epochs."""
    intensity: dict[str, list[float]] | None = None
    """Grey histogram of the training images; computed when the first checkpoint is written."""

    @property
    def best(self) -> EpochRecord | None:
        """The best epoch so far."""
        return next((record for record in reversed(self.records) if record.best), None)


def describe_job(
    config: RunConfig,
    table: SliceTable,
    split: Split,
    run: RunFolder | None,
    cohort: Cohort | None,
    on_step: Callable[[StepReport], None],
    stop: Callable[[], bool],
    log: logging.Logger,
    world: World = ALONE,
) -> Job:
    """Look up who is in which part, and log sizes, class names and the accuracy of the commonest class.

    Raises
    ------
    SplitError
        No image is left in training or validation.
    ConfigError
        A batch is too small to be shared out.
    """
    parts = world.size * config.micro_batches
    if parts > 1 and config.batch_size < 2 * parts:
        raise ConfigError(
            f"batch_size {config.batch_size} cannot be cut into {parts} parts ({world.size} processes x micro_batches "
            f"{config.micro_batches}) of two pictures or more; raise it to {2 * parts} or more."
        )
    rows = {part: split.indices(table, part) for part in PARTS}
    for part in ("train", "val"):
        if len(rows[part]) == 0:
            raise SplitError(f"No picture is in the {part} part; check that the data are those of the split.")
        counts = np.bincount(table.rows["label"].to_numpy()[rows[part]], minlength=len(table.class_names))
        named = ", ".join(f"{name} {count}" for name, count in zip(table.class_names, counts, strict=True))
        log.info("%s: %d slices (%s); always saying the commonest class is right in %.1f %%",
                 part.upper(), len(rows[part]), named, 100 * counts.max() / counts.sum())  # fmt: skip
    log.info("TEST: %d slices, not looked at", len(rows["test"]))
    if split.leaky:
        log.warning("The split is by slice: slices of one patient stand in training and validation. It leaks.")
    return Job(
        config=config, table=table, split=split, train_rows=rows["train"], val_rows=rows["val"],
        test_count=len(rows["test"]), run=run, cohort=cohort, log=log, on_step=on_step, stop=stop, world=world,
    )  # fmt: skip


def start_training(job: Job) -> Training:
    """Build the network, its optimiser and schedule, and take up the state to resume from where there is one."""
    import torch

    from core.models.forward import choose_compute, place_model
    from core.models.registry import check_form, find_architecture
    from core.models.weights import WeightsReport, build_model
    from core.training.environment import write_environment
    from core.training.resume import pack_state, read_resume, take_over, unpack_state

    config, world = job.config, job.world
    architecture = find_architecture(config.architecture)
    check_form(architecture, config.prep)
    compute = choose_compute(config.model_copy(update={"device": world.choose_device(config.device)}))
    saved = read_resume(job.run.resume_file, job) if job.run is not None and job.run.resume_file.exists() else {}
    # The others get the first process's weights, and a resumed run has its own: the file may be gone.
    origin = config.weights if world.leads and "weights" not in saved else "none"
    model, weights = build_model(config.architecture, len(job.table.class_names), origin, config.seed)
    if "weights" in saved:
        weights = WeightsReport(**saved["weights"])
    model = place_model(model, compute)
    optimiser = _build_optimiser(config, model)
    training = Training(
        model=model,
        optimiser=optimiser,
        scheduler=_build_scheduler(config, optimiser, job.steps),
        architecture=architecture,
        compute=compute,
        weights=weights,
        feed=open_feed(job.table, np.concatenate([job.train_rows, job.val_rows]), compute.device),
        train_logits=torch.full((len(job.train_rows), len(job.table.class_names)), float("nan")),
        class_weights=_weigh_classes(job, compute),
        gradient_norms=torch.full((job.steps,), float("nan"), device=compute.device),
    )
    job.log.info("%s, weights: %s; %s on %s", architecture.title, weights.describe(), compute.precision, compute.device)
    if training.feed.held is not None:
        job.log.info("the pictures, %.2f GB, are held on %s", training.feed.held.nbytes / 1e9, compute.device)
    if world.size > 1:
        job.log.info("%d processes share each batch of %d", world.size, config.batch_size)
    if job.run is not None:
        write_environment(job, training)
        if saved:
            take_over(saved, training)
            job.log.info("resumed in epoch %d after %d of %d batches", training.epoch, training.step, job.steps)
        job.run.replace_epochs(training.records)
    if world.size > 1:
        state = world.alone(lambda: pack_state(job, training))
        if not world.leads:
            unpack_state(state, training)
    return training


def _weigh_classes(job: Job, compute: Compute) -> torch.Tensor | None:
    """The inverse of each class's share of the training examples, with a mean of 1 over these."""
    import torch

    if job.config.class_weights == "none":
        return None
    counts = np.bincount(job.labels(job.train_rows), minlength=len(job.table.class_names))
    weights = len(job.train_rows) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return torch.from_numpy(weights.astype(np.float32)).to(compute.device)


def _build_optimiser(config: RunConfig, model: nn.Module) -> torch.optim.Optimizer:
    import torch

    chosen = config.optimiser
    if chosen.optimiser == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay)
    if chosen.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay)
    return torch.optim.SGD(
        model.parameters(), lr=chosen.learning_rate, momentum=chosen.momentum, weight_decay=chosen.weight_decay
    )


def _build_scheduler(config: RunConfig, optimiser: torch.optim.Optimizer, steps: int) -> LRScheduler:
    from torch.optim.lr_scheduler import ConstantLR, OneCycleLR, StepLR

    schedule = config.schedule
    if schedule.schedule == "step":
        return StepLR(optimiser, step_size=schedule.step_size, gamma=schedule.gamma)
    if schedule.schedule == "one_cycle":
        # The configuration's momentum is what is used: only the learning rate goes round.
        return OneCycleLR(
            optimiser, max_lr=config.optimiser.learning_rate, total_steps=config.epochs * steps, cycle_momentum=False
        )
    return ConstantLR(optimiser, factor=1.0)
