"""Train a network: the paper's loop, readable from top to bottom.

Each epoch is a training phase and a validation phase; the weights of the best validation are kept. Everything random
comes from (seed, epoch, sample), so a run that is stopped or killed and resumed ends as if it had never paused. The
test patients are counted, never looked at. Several processes (:mod:`core.training.distributed`) go through the same
loop side by side, each with its part of every batch.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.config import RunConfig
from core.data.study import Cohort
from core.dataset.batches import batch_order, share_out
from core.dataset.split import Split
from core.dataset.table import SliceTable
from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord
from core.training.distributed import ALONE, World
from core.training.job import Job, StepReport, Training, TrainingStopped, describe_job, start_training
from core.training.memory import peak_gpu_memory, peak_memory
from core.training.micro_batches import load_micro_batch, seed_dropout, weigh_batch
from core.training.phase_summary import PhaseSummary, summarise_phase
from core.training.segmenter import train_segmenter

if TYPE_CHECKING:
    import torch


SCORED_AT_ONCE = 256
"""Validation images between two looks at the stop file; the same in each run, so that results are too."""


def fit(
    config: RunConfig,
    table: SliceTable,
    split: Split,
    *,
    run: RunFolder | None = None,
    cohort: Cohort | None = None,
    on_step: Callable[[StepReport], None] = lambda report: None,
    stop: Callable[[], bool] = lambda: False,
    log: logging.Logger | None = None,
    world: World = ALONE,
) -> Iterator[EpochRecord]:
    """Train, and yield each epoch's record when it is finished and saved.

    Parameters
    ----------
    config, table, split
        What to train, on which images, with whom in which part.
    run
        Where the best weights, the log of epochs and the state to resume from go. A state that is there already
        is taken up, and its finished epochs are not yielded again. None writes nothing.
    cohort
        Where the table comes from: tells the checkpoint whether it is synthetic and which planes it has.
    on_step
        Called after every batch.
    stop
        Asked before every batch; True stops there.
    log
        Where sentences for people go.
    world
        The processes that train together; only the one that leads has a `run`.

    Raises
    ------
    TrainingStopped
        `stop` said so; the state is saved in `run`.
    RunError
        The loss is not a number, memory does not suffice, or the state to resume from belongs to another run.
    SplitError
        No image is left in training or validation.
    StorageError
        The disk is full.
    """
    from core.training.best import save_best_checkpoint
    from core.training.resume import save_resume

    job = describe_job(config, table, split, run, cohort, on_step, stop, log or logging.getLogger(__name__), world)
    with _explained(config):
        training = start_training(job)
        if training.architecture.needs_masks:
            train_segmenter(job, training)
        while training.epoch <= config.epochs:
            try:
                train = _train_phase(job, training)
                began = time.perf_counter()
                val, val_logits = _validation_phase(job, training)
            except TrainingStopped:
                if run is not None:
                    save_resume(run.resume_file, job, training)
                raise
            record = _record(job, training, train, val, time.perf_counter() - began)
            if record.best:
                _report(job, training, "saving", 0, 0, scored=len(job.val_rows))
                save_best_checkpoint(job, training, record, val_logits)
            _log_epoch(job, record)
            _end_epoch(job, training, record)
            if run is not None:
                save_resume(run.resume_file, job, training)
                run.append_epoch(record)
            yield record


def _train_phase(job: Job, training: Training) -> PhaseSummary:
    import torch

    config, epoch = job.config, training.epoch
    if training.step == 0:
        training.learning_rate = training.optimiser.param_groups[0]["lr"]
    training.model.train()
    batches = batch_order(job.train_rows, config.batch_size, config.seed, epoch, training.step)
    while training.step < job.steps:
        _check_stop(job)
        began = time.perf_counter()
        indices = next(batches)
        logits = train_step(job, training, indices)
        places = torch.from_numpy(np.searchsorted(job.train_rows, indices))
        training.train_logits[places] = logits
        training.step += 1
        training.seconds += time.perf_counter() - began
        _report(job, training, "training", training.step, job.steps, scored=0)
    logits_seen = training.train_logits.numpy()
    return _summarise(job, job.train_rows, logits_seen)


def train_step(job: Job, training: Training, indices: NDArray[np.int64]) -> torch.Tensor:
    """One optimiser step on the batch of these rows; returns the logits (n, classes) that it started from, on the CPU.

    The batch is cut into parts, for the processes and their micro-batches. Each part adds its share to the gradient of
    the mean over the whole batch.
    """
    import torch

    from core.models.forward import autocast

    config, world = job.config, job.world
    parts = share_out(len(indices), world.size * config.micro_batches)
    weight = weigh_batch(job, training, indices)
    logits = torch.zeros(len(indices), len(job.table.class_names))
    batch_loss = torch.zeros(1)
    training.optimiser.zero_grad(set_to_none=True)
    for number, part in world.own_parts(parts, config.micro_batches):
        inputs, labels = load_micro_batch(job, training, indices, part)
        seed_dropout(job, training, number)
        with autocast(training.compute):
            outputs = training.model(inputs)
        loss = torch.nn.functional.cross_entropy(outputs.float(), labels, training.class_weights, reduction="sum")
        (loss / weight).backward()
        batch_loss += loss.item() / weight
        logits[part] = outputs.detach().float().cpu()
    world.add_up(batch_loss)
    training.loss = batch_loss.item()
    if not math.isfinite(training.loss):
        raise _diverged(job, training, "the training loss")
    world.add_up(logits)
    world.add_up_gradients(training.model)
    training.gradient_norms[training.step] = _gradient_norm(training)
    training.optimiser.step()
    if config.schedule.schedule == "one_cycle":
        training.scheduler.step()
    return logits


def _gradient_norm(training: Training) -> torch.Tensor:
    """Norm of the gradient over all weights that have one, 0-d; it stays on the device, so nothing waits for it."""
    import torch

    gradients = [weight.grad for weight in training.model.parameters() if weight.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def _validation_phase(job: Job, training: Training) -> tuple[PhaseSummary, NDArray[np.float32]]:
    import torch

    from core.models.forward import score_images

    world = job.world
    world.share(training.model.buffers())
    scores = torch.zeros(len(job.val_rows), len(job.table.class_names))
    chunks = [slice(start, start + SCORED_AT_ONCE) for start in range(0, len(job.val_rows), SCORED_AT_ONCE)]
    for first in range(0, len(chunks), world.size):
        _check_stop(job)
        for chunk in chunks[first : first + world.size][world.rank : world.rank + 1]:
            images = training.feed.take(job.val_rows[chunk])
            logits = score_images(training.model, images, training.architecture, training.compute)
            scores[chunk] = torch.from_numpy(logits)
        done = min(first + world.size, len(chunks))
        scored = min(done * SCORED_AT_ONCE, len(job.val_rows))
        _report(job, training, "validating", done, len(chunks), scored=scored)
    world.add_up(scores)
    logits = scores.numpy()
    if not np.isfinite(logits).all():
        raise _diverged(job, training, "an output in validation")
    return _summarise(job, job.val_rows, logits), logits


def _summarise(job: Job, rows: NDArray[np.int64], logits: NDArray[np.float32]) -> PhaseSummary:
    config = job.config
    return summarise_phase(
        job.labels(rows), logits, job.patients(rows), job.table.positive_class, config.aggregation, config.top_k
    )


def _record(job: Job, training: Training, train: PhaseSummary, val: PhaseSummary, val_seconds: float) -> EpochRecord:
    record = EpochRecord(
        epoch=training.epoch,
        learning_rate=training.learning_rate,
        **_in_record("train", train),
        train_patient_auroc=train.patient_auroc,
        **_in_record("val", val),
        val_patient_auroc=val.patient_auroc,
        val_patient_auroc_low=val.patient_auroc_low,
        val_patient_auroc_high=val.patient_auroc_high,
        val_patient_accuracy=val.patient_accuracy,
        seconds=training.seconds + val_seconds,
        images_per_second=len(job.train_rows) / max(training.seconds, 1e-9),
        best=False,
        **_summarise_gradient(training),
        memory_bytes=peak_memory(),
        gpu_memory_bytes=peak_gpu_memory(training.compute.device),
        train_histogram=train.histogram,
        val_histogram=val.histogram,
        val_predicted=val.predicted,
    )
    best = training.best
    better = best is None or _selection_score(job.config, record) > _selection_score(job.config, best)
    return record.model_copy(update={"best": better})


def _in_record(part: str, phase: PhaseSummary) -> dict[str, Any]:
    """Loss and accuracy by slice with their intervals, as an :class:`EpochRecord` names them."""
    found = {"loss": (phase.loss, phase.loss_interval), "accuracy": (phase.accuracy, phase.accuracy_interval)}
    return {
        f"{part}_{name}{end}": number
        for name, (value, (low, high)) in found.items()
        for end, number in (("", value), ("_low", low), ("_high", high))
    }


def _summarise_gradient(training: Training) -> dict[str, Any]:
    """Mean and largest norm over the epoch's steps; a run resumed from an older version's state lacks some."""
    norms = training.gradient_norms.cpu().numpy().astype(np.float64)
    known = norms[np.isfinite(norms)]
    if not len(known):
        return {"gradient_norm": None, "gradient_norm_max": None}
    return {"gradient_norm": float(known.mean()), "gradient_norm_max": float(known.max())}


def _selection_score(config: RunConfig, record: EpochRecord) -> float:
    """The figure that selects, larger is better; the loss where an AUROC cannot be had. Of equals the first stays."""
    if config.select_on == "val_accuracy":
        return record.val_accuracy
    if config.select_on == "val_patient_auroc" and record.val_patient_auroc is not None:
        return record.val_patient_auroc
    return -record.val_loss


def _end_epoch(job: Job, training: Training, record: EpochRecord) -> None:
    if job.config.schedule.schedule != "one_cycle":
        training.scheduler.step()
    training.records.append(record)
    training.train_logits.fill_(float("nan"))
    training.gradient_norms.fill_(float("nan"))
    training.epoch, training.step, training.seconds = training.epoch + 1, 0, 0.0


def _check_stop(job: Job) -> None:
    """Stop where any process was asked to: all stop at the same batch."""
    if job.world.any(job.stop()):
        raise TrainingStopped


def _report(job: Job, training: Training, phase: str, step: int, steps: int, scored: int) -> None:
    trained = int(training.step / job.steps * len(job.train_rows))
    per_epoch = 3 * len(job.train_rows) + len(job.val_rows)
    done = ((training.epoch - 1) * per_epoch + 3 * trained + scored) / (job.config.epochs * per_epoch)
    rate = trained / max(training.seconds, 1e-9)
    job.on_step(
        StepReport(
            phase=phase, epoch=training.epoch, epochs=job.config.epochs, step=step, steps=steps, images_per_second=rate, done=done,
            loss=training.loss, learning_rate=training.optimiser.param_groups[0]["lr"],
            gradient_norm=training.gradient_norms[training.step - 1] if training.step else None,
        )
    )  # fmt: skip


def _log_epoch(job: Job, record: EpochRecord) -> None:
    auroc = "none" if record.val_patient_auroc is None else f"{record.val_patient_auroc:.3f}"
    job.log.info(
        "epoch %d/%d: train loss %.4f accuracy %.4f; val loss %.4f accuracy %.4f, patient AUROC %s; %.0f images/s%s",
        record.epoch, job.config.epochs, record.train_loss, record.train_accuracy, record.val_loss,
        record.val_accuracy, auroc, record.images_per_second, "; best so far" if record.best else "",
    )  # fmt: skip


def _diverged(job: Job, training: Training, what: str) -> RunError:
    return RunError(
        f"In epoch {training.epoch}, batch {training.step + 1}, {what} is not a finite number: training diverged. Lower "
        f"learning_rate (now {job.config.optimiser.learning_rate:g}) or set precision=float32, and start a new run."
    )


@contextmanager
def _explained(config: RunConfig) -> Iterator[None]:
    """Turn a lack of memory into an error that says what to do."""
    import torch

    remedy = f"lower batch_size (now {config.batch_size}) or size_px (now {config.prep.size_px}), and start a new run"
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise RunError(f"Memory does not suffice; {remedy}.") from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise RunError(f"Memory does not suffice; {remedy}.") from error
