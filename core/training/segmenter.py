"""The first stage of a two-stage network: it learns to find the tumour from masks, then changes no more."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.dataset.masks import load_masks
from core.errors import ConfigError
from core.files import write_atomic
from core.settings import load_settings
from core.training.job import StepReport, TrainingStopped

if TYPE_CHECKING:
    import torch

    from core.training.job import Job, Training


STREAM = 5
"""Keeps its order of examples apart from the other random numbers."""
LEARNING_RATE = 3e-3


def train_segmenter(job: Job, training: Training) -> None:
    """Train the segmenter of ``training.model`` on the masks of the training patients, and freeze it.

    Does nothing where that is done already (a resumed run). What it finds in the validation patients goes into the
    log and into segmentation.json of the run, as Dice coefficients. A run that is stopped here starts this stage anew,
    in the same order. Of several processes the first does it alone, and the others get its weights.

    Raises
    ------
    TrainingStopped
        The job says so.
    DataError
        There are no masks.
    ConfigError
        The examples hold no study, so that no mask fits them.
    """
    model: Any = training.model
    job.world.alone(lambda: _train_segmenter(job, training))
    job.world.share(model.state_dict().values())
    model.freeze_segmenter()


def _train_segmenter(job: Job, training: Training) -> None:
    model: Any = training.model
    if model.segmenter_frozen:
        return
    if not job.config.prep.combines or job.cohort is None:
        raise ConfigError("A two-stage network looks at a study's sequences together; choose channels=sequences.")
    settings = load_settings()
    masks = {
        part: load_masks(job.cohort, job.table, rows, job.config.prep, settings)
        for part, rows in (("train", job.train_rows), ("val", job.val_rows))
    }
    _fit(job, training, masks["train"])
    dice = [_dice(training, job, row, mask) for row, mask in masks["val"].items()]
    mean = float(np.mean(dice))
    job.log.info(
        "first stage: Dice %.3f (mean of %d validation patients, %.3f to %.3f)", mean, len(dice), min(dice), max(dice)
    )
    if job.run is not None:
        content = {"dice_mean": mean, "dice": dice, "n": len(dice), "masks_to_train": len(masks["train"])}
        write_atomic(job.run.path / "segmentation.json", json.dumps(content, indent=1))


def _fit(job: Job, training: Training, masks: dict[int, NDArray[np.bool_]]) -> None:
    import torch

    model: Any = training.model
    optimiser = torch.optim.AdamW(model.segmenter.parameters(), lr=LEARNING_RATE)
    rows = np.array(sorted(masks), np.int64)
    epochs, size = job.config.mask_epochs, job.config.batch_size
    steps = -(-len(rows) // size)
    model.train()
    seen, began = 0, time.perf_counter()
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng([job.config.seed, epoch, STREAM]).permutation(rows)
        losses = []
        for step in range(steps):
            if job.stop():
                raise TrainingStopped
            batch = order[step * size : (step + 1) * size]
            truth = torch.from_numpy(np.stack([masks[int(row)] for row in batch])).to(training.compute.device)
            loss = _loss(model.segment(_inputs(job, training, batch)), truth.float().unsqueeze(1))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            seen += len(batch)
            job.on_step(
                StepReport(
                    phase="finding the tumour", epoch=epoch, epochs=epochs, step=step + 1, steps=steps,
                    images_per_second=seen / (time.perf_counter() - began), done=seen / (epochs * len(rows)),
                    loss=losses[-1], learning_rate=LEARNING_RATE,
                )
            )  # fmt: skip
        job.log.info("first stage, epoch %d/%d: loss %.4f", epoch, epochs, float(np.mean(losses)))


def _loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Dice loss and cross-entropy: the tumour is a small part of the volume."""
    from monai.losses import DiceCELoss

    loss: torch.Tensor = DiceCELoss(sigmoid=True)(logits.float(), truth)
    return loss


def _dice(training: Training, job: Job, row: int, mask: NDArray[np.bool_]) -> float:
    """Dice coefficient of one example; 1 where there is nothing to find and nothing is found."""
    import torch

    from core.models.forward import evaluating

    model: Any = training.model
    with evaluating(training.model), torch.no_grad():
        found = (model.segment(_inputs(job, training, np.array([row])))[0, 0] > 0).cpu().numpy()
    total = int(found.sum() + mask.sum())
    return 2 * int((found & mask).sum()) / total if total else 1.0


def _inputs(job: Job, training: Training, rows: NDArray[np.int64]) -> torch.Tensor:
    import torch

    from core.models.forward import to_input

    return to_input(torch.from_numpy(job.table.images(rows)), training.architecture, training.compute)
