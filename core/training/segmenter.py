"""The first stage of a two-stage network: it learns to segment the tumour from masks, and is frozen after that."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import ConfigError
from core.files import write_atomic
from core.models.forward import evaluating, to_input
from core.training import distributed
from core.training.state import StepReport, TrainingSpec, TrainingState
from core.training.stopping import TrainingStopped

STREAM = 5
"""Keeps its order of examples apart from the other random numbers."""
LEARNING_RATE = 3e-3


def train_segmenter(spec: TrainingSpec, state: TrainingState) -> None:
    """Train the segmenter of ``state.model`` on the masks of the training patients, and freeze it.

    Does nothing where that is done already (a resumed run). The Dice coefficients on the validation patients go into
    the log and into segmentation.json of the run. A run that is stopped here starts this stage anew, in the same order.
    Of several processes rank 0 trains it, and the others get its weights.

    Raises
    ------
    TrainingStopped
        The spec's `stop` said so.
    DataError
        There are no masks.
    ConfigError
        The examples are not whole studies, so that no mask fits them.
    """
    model: Any = state.model
    distributed.on_rank0(lambda: _train_on_masks(spec, state))
    distributed.broadcast(model.state_dict().values())
    model.freeze_segmenter()


def _train_on_masks(spec: TrainingSpec, state: TrainingState) -> None:
    model: Any = state.model
    if model.segmenter_frozen:
        return
    if not spec.config.prep.combines or spec.load_masks is None:
        raise ConfigError("A two-stage network looks at a study's sequences together; choose channels=sequences.")
    masks = {part: spec.load_masks(rows) for part, rows in (("train", spec.train_rows), ("val", spec.val_rows))}
    _fit(spec, state, masks["train"])
    dice = [_dice(spec, state, row, mask) for row, mask in masks["val"].items()]
    mean = float(np.mean(dice))
    spec.log.info(
        "first stage: Dice %.3f (mean of %d validation patients, %.3f to %.3f)", mean, len(dice), min(dice), max(dice)
    )
    if spec.run is not None:
        content = {"dice_mean": mean, "dice": dice, "n": len(dice), "masks_to_train": len(masks["train"])}
        write_atomic(spec.run.path / "segmentation.json", json.dumps(content, indent=1))


def _fit(spec: TrainingSpec, state: TrainingState, masks: dict[int, NDArray[np.bool_]]) -> None:
    """Train on masks of Dice loss plus cross-entropy: the tumour is a small part of the volume."""
    from monai.losses import DiceCELoss  # a second to import, and only this kind of network needs it

    model: Any = state.model
    optimiser = torch.optim.AdamW(model.segmenter.parameters(), lr=LEARNING_RATE)
    loss_function = DiceCELoss(sigmoid=True)
    rows = np.array(sorted(masks), np.int64)
    epochs, size = spec.config.mask_epochs, spec.config.batch_size
    steps = -(-len(rows) // size)
    model.train()
    seen, began = 0, time.perf_counter()
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng([spec.config.seed, epoch, STREAM]).permutation(rows)
        losses = []
        for step in range(steps):
            if spec.stop():
                raise TrainingStopped
            batch = order[step * size : (step + 1) * size]
            truth = torch.from_numpy(np.stack([masks[int(row)] for row in batch])).to(state.compute.device)
            logits = model.segment(_load_inputs(spec, state, batch))
            loss = loss_function(logits.float(), truth.float().unsqueeze(1))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            seen += len(batch)
            spec.on_step(
                StepReport(
                    phase="finding the tumour", epoch=epoch, epochs=epochs, step=step + 1, steps=steps,
                    images_per_second=seen / (time.perf_counter() - began), done=seen / (epochs * len(rows)),
                    loss=losses[-1], learning_rate=LEARNING_RATE,
                )
            )  # fmt: skip
        spec.log.info("first stage, epoch %d/%d: loss %.4f", epoch, epochs, float(np.mean(losses)))


def _dice(spec: TrainingSpec, state: TrainingState, row: int, mask: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of one example; 1 where there is no tumour and none is found."""
    model: Any = state.model
    with evaluating(state.model), torch.no_grad():
        found = (model.segment(_load_inputs(spec, state, np.array([row])))[0, 0] > 0).cpu().numpy()
    total = int(found.sum() + mask.sum())
    return 2 * int((found & mask).sum()) / total if total else 1.0


def _load_inputs(spec: TrainingSpec, state: TrainingState, rows: NDArray[np.int64]) -> torch.Tensor:
    return to_input(torch.from_numpy(spec.table.images(rows)), state.architecture, state.compute)
