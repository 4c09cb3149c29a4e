"""Train a network: the paper's loop, readable from top to bottom.

Each epoch is a training phase and a validation phase; the weights of the best validation are kept. Everything random
comes from (seed, epoch, sample), so a run that is stopped or killed and resumed ends as if it had never paused. Test
patients are counted, never loaded. Several processes run this same loop; what they do otherwise than one is in
:mod:`core.training.distributed`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from core.config import RunConfig
from core.dataset.batches import batch_order
from core.dataset.feed import open_feed
from core.dataset.slice_table import SliceTable
from core.dataset.split import Split
from core.errors import RunError
from core.models.forward import autocast, choose_compute, place_model, score_images
from core.models.registry import check_form, find_architecture
from core.models.weights import WeightsReport, build_model
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord
from core.training import distributed
from core.training.checkpointing import (
    keep_scores,
    pack_state,
    read_resume_state,
    restore_state,
    save_best_checkpoint,
    save_resume_state,
    unpack_state,
    write_scores,
)
from core.training.memory import is_out_of_memory, peak_memory
from core.training.micro_batches import batch_weight, load_micro_batch, seed_dropout, split_batch
from core.training.optim import build_class_weights, build_optimiser, build_scheduler, steps_per_batch
from core.training.phase_summary import PhaseSummary, summarise_phase
from core.training.segmenter import train_segmenter
from core.training.state import MaskLoader, StepReport, TrainingSpec, TrainingState, describe_training
from core.training.stopping import TrainingStopped

SCORED_AT_ONCE = 256
"""Validation images between two checks of the stop file; the same in each run, so that results are too."""


def fit(
    config: RunConfig,
    table: SliceTable,
    split: Split,
    *,
    run: RunFolder | None = None,
    synthetic: bool = False,
    load_masks: MaskLoader | None = None,
    on_start: Callable[[TrainingSpec, TrainingState], None] = lambda spec, state: None,
    on_step: Callable[[StepReport], None] = lambda report: None,
    stop: Callable[[], bool] = lambda: False,
    log: logging.Logger | None = None,
) -> Iterator[EpochRecord]:
    """Train, and yield each epoch's record when the epoch is finished and saved.

    Parameters
    ----------
    config, table, split
        What to train, on which images, with which patients in which part.
    run
        Where the best weights, the log of epochs and the state to resume from go. A saved state that is there is
        resumed, and its finished epochs are not yielded again. None writes nothing.
    synthetic
        Whether the images are of the synthetic cohort: the checkpoint says so.
    load_masks
        Loads tumour masks, for a network whose first stage learns from them.
    on_start
        Called when the network and its state are ready.
    on_step
        Called after every batch.
    stop
        Called before every batch; True stops there.
    log
        Takes messages for people.

    Raises
    ------
    TrainingStopped
        `stop` said so; the state is saved in `run`.
    RunError
        The loss is not finite, memory does not suffice, or the state to resume from belongs to another run.
    SplitError
        No image is left in training or validation.
    StorageError
        The disk is full.
    """
    spec = describe_training(
        config, table, split, run=run, synthetic=synthetic, load_masks=load_masks, on_step=on_step, stop=stop, log=log
    )
    with memory_errors(config):
        state = start_training(spec)
        on_start(spec, state)
        if state.architecture.needs_masks:
            train_segmenter(spec, state)
        state.network = distributed.wrap_model(state.model)
        while state.epoch <= config.epochs:
            try:
                train = train_one_epoch(spec, state)
                began = time.perf_counter()
                val, val_logits = evaluate(spec, state)
            except TrainingStopped:
                save_resume_state(spec, state)
                raise
            keep_scores(spec, state, val_logits)
            record = build_record(spec, state, train, val, time.perf_counter() - began)
            if record.best:
                report_step(spec, state, "saving", 0, 0, scored=len(spec.val_rows))
                save_best_checkpoint(spec, state, record, val_logits)
            log_epoch(spec, record)
            end_epoch(spec, state, record)
            save_resume_state(spec, state)
            if run is not None:
                run.append_epoch(record)
            yield record


def start_training(spec: TrainingSpec) -> TrainingState:
    """Build the network, its optimiser and schedule, and restore the state to resume from where there is one."""
    config, classes = spec.config, len(spec.table.class_names)
    architecture = find_architecture(config.architecture)
    check_form(architecture, config.prep)
    compute = choose_compute(config.model_copy(update={"device": distributed.choose_device(config.device)}))
    saved = read_resume_state(spec)
    # A resumed run has its own weights, and rank 0 gives its own to the others: the file may be gone.
    origin = "none" if distributed.rank() or "weights" in saved else config.weights
    model, weights = build_model(config.architecture, classes, origin, config.seed)
    if "weights" in saved:
        weights = WeightsReport(**saved["weights"])
    model = place_model(model, compute)
    optimiser = build_optimiser(config, model)
    class_weights = build_class_weights(config, spec.labels(spec.train_rows), classes)
    state = TrainingState(
        model=model,
        network=model,
        optimiser=optimiser,
        scheduler=build_scheduler(config, optimiser, spec.steps),
        architecture=architecture,
        compute=compute,
        weights=weights,
        feed=open_feed(spec.table, np.concatenate([spec.train_rows, spec.val_rows]), compute.device),
        train_logits=torch.full((len(spec.train_rows), classes), float("nan")),
        class_weights=None if class_weights is None else class_weights.to(compute.device),
        gradient_norms=torch.full((spec.steps,), float("nan"), device=compute.device),
        val_scores=torch.full(
            (config.epochs, len(np.unique(spec.patients(spec.val_rows))), classes + 2),
            float("nan"),
            dtype=torch.float64,
        ),
    )
    spec.log.info(
        "%s, weights: %s; %s on %s", architecture.title, weights.describe(), compute.precision, compute.device
    )
    if state.feed.held is not None:
        spec.log.info("the images, %.2f GB, are held on %s", state.feed.held.nbytes / 1e9, compute.device)
    if spec.run is not None:
        if saved:
            restore_state(saved, state)
            write_scores(spec, state)
            spec.log.info("resumed in epoch %d after %d of %d batches", state.epoch, state.step, spec.steps)
        spec.run.replace_epochs(state.records)
    if distributed.is_distributed():
        spec.log.info("%d processes share each batch of %d", distributed.world_size(), config.batch_size)
        unpack_state(distributed.on_rank0(lambda: pack_state(spec, state)), state)
    return state


def train_one_epoch(spec: TrainingSpec, state: TrainingState) -> PhaseSummary:
    """Train on every training image once, from the batch where the epoch stands; return the metrics of its steps."""
    config = spec.config
    if state.step == 0:
        state.learning_rate = state.optimiser.param_groups[0]["lr"]
    state.model.train()
    batches = batch_order(spec.train_rows, config.batch_size, config.seed, state.epoch, state.step)
    while state.step < spec.steps:
        check_stop(spec)
        began = time.perf_counter()
        indices = next(batches)
        logits = train_step(spec, state, indices)
        state.train_logits[torch.from_numpy(np.searchsorted(spec.train_rows, indices))] = logits
        state.step += 1
        state.seconds += time.perf_counter() - began
        report_step(spec, state, "training", state.step, spec.steps, scored=0)
    return summarise(spec, spec.train_rows, state.train_logits.numpy())


def train_step(spec: TrainingSpec, state: TrainingState, indices: NDArray[np.int64]) -> torch.Tensor:
    """Take one optimiser step on a batch, and return the logits (n, classes) that it started from, on the CPU.

    The batch, of the table's rows `indices` (n,), is cut into parts for the processes and their micro-batches. Each adds
    its share to the gradient of the mean loss over the whole batch.
    """
    parts = split_batch(len(indices), spec.config.micro_batches)
    weight = batch_weight(spec, state, indices)
    logits = torch.zeros(len(indices), len(spec.table.class_names))
    batch_loss = torch.zeros(1)
    state.optimiser.zero_grad(set_to_none=True)
    for part in parts:
        inputs, labels = load_micro_batch(spec, state, indices, part)
        seed_dropout(spec, state, part.number)
        with distributed.gradient_sync(state.network, last=part is parts[-1]):
            with autocast(state.compute):
                outputs = state.network(inputs)
            loss = functional.cross_entropy(outputs.float(), labels, state.class_weights, reduction="sum")
            (part.scale * loss / weight).backward()
        if part.scale:
            batch_loss += loss.item() / weight
            logits[part.examples] = outputs.detach().float().cpu()
    distributed.all_reduce(batch_loss)
    state.loss = batch_loss.item()
    if not math.isfinite(state.loss):
        raise diverged(spec, state, "the training loss")
    distributed.all_reduce(logits)
    gradients = [parameter.grad for parameter in state.model.parameters() if parameter.grad is not None]
    # Stays on the device, so that nothing waits for it.
    state.gradient_norms[state.step] = torch.nn.utils.get_total_norm(gradients)
    state.optimiser.step()
    if steps_per_batch(spec.config):
        state.scheduler.step()
    return logits


def evaluate(spec: TrainingSpec, state: TrainingState) -> tuple[PhaseSummary, NDArray[np.float32]]:
    """Score every validation image; return the metrics and the logits (validation images, classes)."""
    distributed.broadcast(state.model.buffers())
    processes, rank = distributed.world_size(), distributed.rank()
    scores = torch.zeros(len(spec.val_rows), len(spec.table.class_names))
    chunks = [slice(start, start + SCORED_AT_ONCE) for start in range(0, len(spec.val_rows), SCORED_AT_ONCE)]
    for first in range(0, len(chunks), processes):
        check_stop(spec)
        for chunk in chunks[first : first + processes][rank : rank + 1]:
            images = state.feed.take(spec.val_rows[chunk])
            scores[chunk] = torch.from_numpy(score_images(state.model, images, state.architecture, state.compute))
        done = min(first + processes, len(chunks))
        scored = min(done * SCORED_AT_ONCE, len(spec.val_rows))
        report_step(spec, state, "validating", done, len(chunks), scored=scored)
    distributed.all_reduce(scores)
    logits = scores.numpy()
    if not np.isfinite(logits).all():
        raise diverged(spec, state, "an output in validation")
    return summarise(spec, spec.val_rows, logits), logits


def rank_epoch(config: RunConfig, record: EpochRecord) -> tuple[float, float]:
    """Return what epochs are compared by to select the best: the figure, then the loss negated; larger is better.

    Few validation patients tie often: of equal figures the lower loss is taken, and of equals in both the first stays. The
    loss stands in where there is no AUROC. :meth:`core.evaluation.selection.Selection.choose` says the same.
    """
    figure = -record.val_loss
    if config.select_on == "val_accuracy":
        figure = record.val_accuracy
    elif config.select_on == "val_patient_auroc" and record.val_patient_auroc is not None:
        figure = record.val_patient_auroc
    return figure, -record.val_loss


def end_epoch(spec: TrainingSpec, state: TrainingState, record: EpochRecord) -> None:
    """Keep the epoch's record, move a schedule by epochs on, and make the state ready for the next epoch."""
    if not steps_per_batch(spec.config):
        state.scheduler.step()
    state.records.append(record)
    state.train_logits.fill_(float("nan"))
    state.gradient_norms.fill_(float("nan"))
    state.epoch, state.step, state.seconds = state.epoch + 1, 0, 0.0


def check_stop(spec: TrainingSpec) -> None:
    """Stop where any process was asked to: all stop before the same batch."""
    if distributed.any_rank(spec.stop()):
        raise TrainingStopped


def summarise(spec: TrainingSpec, rows: NDArray[np.int64], logits: NDArray[np.float32]) -> PhaseSummary:
    """Return the metrics of some rows of the table."""
    config = spec.config
    return summarise_phase(
        spec.labels(rows), logits, spec.patients(rows), spec.table.positive_class, config.aggregation, config.top_k
    )


def build_record(
    spec: TrainingSpec, state: TrainingState, train: PhaseSummary, val: PhaseSummary, val_seconds: float
) -> EpochRecord:
    """Return the record of the epoch that has just been trained and validated."""
    device = torch.device(state.compute.device)
    record = EpochRecord(
        epoch=state.epoch,
        learning_rate=state.learning_rate,
        **train.to_record("train"),
        **val.to_record("val"),
        seconds=state.seconds + val_seconds,
        images_per_second=len(spec.train_rows) / max(state.seconds, 1e-9),
        best=False,
        **summarise_gradient(state),
        memory_bytes=peak_memory(),
        gpu_memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
    )
    best = state.best
    better = best is None or rank_epoch(spec.config, record) > rank_epoch(spec.config, best)
    return record.model_copy(update={"best": better})


def summarise_gradient(state: TrainingState) -> dict[str, Any]:
    """Return the mean and the largest norm over the epoch's steps; a run resumed from an older state lacks some."""
    norms = state.gradient_norms.cpu().numpy().astype(np.float64)
    known = norms[np.isfinite(norms)]
    if not len(known):
        return {"gradient_norm": None, "gradient_norm_max": None}
    return {"gradient_norm": float(known.mean()), "gradient_norm_max": float(known.max())}


def report_step(spec: TrainingSpec, state: TrainingState, phase: str, step: int, steps: int, scored: int) -> None:
    """Report how far training is; a training image counts three times what a validation image does."""
    trained = int(state.step / spec.steps * len(spec.train_rows))
    per_epoch = 3 * len(spec.train_rows) + len(spec.val_rows)
    done = ((state.epoch - 1) * per_epoch + 3 * trained + scored) / (spec.config.epochs * per_epoch)
    rate = trained / max(state.seconds, 1e-9)
    spec.on_step(
        StepReport(
            phase=phase, epoch=state.epoch, epochs=spec.config.epochs, step=step, steps=steps, images_per_second=rate,
            done=done, loss=state.loss, learning_rate=state.optimiser.param_groups[0]["lr"],
            gradient_norm=state.gradient_norms[state.step - 1] if state.step else None,
        )
    )  # fmt: skip


def log_epoch(spec: TrainingSpec, record: EpochRecord) -> None:
    """Write one line about an epoch into the log."""
    auroc = "none" if record.val_patient_auroc is None else f"{record.val_patient_auroc:.3f}"
    spec.log.info(
        "epoch %d/%d: train loss %.4f accuracy %.4f; val loss %.4f accuracy %.4f, patient AUROC %s; %.0f images/s%s",
        record.epoch, spec.config.epochs, record.train_loss, record.train_accuracy, record.val_loss,
        record.val_accuracy, auroc, record.images_per_second, "; best so far" if record.best else "",
    )  # fmt: skip


def diverged(spec: TrainingSpec, state: TrainingState, what: str) -> RunError:
    """Return the error for a loss or an output that is not finite."""
    return RunError(
        f"In epoch {state.epoch}, batch {state.step + 1}, {what} is not a finite number: training diverged. Lower "
        f"learning_rate (now {spec.config.optimiser.learning_rate:g}) or set precision=float32, and start a new run."
    )


@contextmanager
def memory_errors(config: RunConfig) -> Iterator[None]:
    """Turn a lack of memory into an error that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(
            f"Memory does not suffice; lower batch_size (now {config.batch_size}) or size_px (now "
            f"{config.prep.size_px}), and start a new run."
        ) from error
