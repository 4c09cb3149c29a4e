"""The state to resume from: everything that training needs to go on as if it had never paused."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import parse_config
from core.errors import RunError
from core.files import write_atomic
from core.runs.records import EpochRecord

if TYPE_CHECKING:
    from core.training.job import Job, Training


SCHEMA_VERSION = 1


def save_resume(path: Path, job: Job, training: Training) -> None:
    """Write the state atomically; raises StorageError where the disk is full."""
    write_atomic(path, pack_state(job, training))


def pack_state(job: Job, training: Training) -> bytes:
    """The state as torch writes it, through memory: a full disk within torch's own writer is not told as an OSError."""
    import torch

    state = {
        "schema_version": SCHEMA_VERSION,
        "config": job.config.model_dump_json(),
        "split": job.split.digest,
        "weights": asdict(training.weights),
        "model": training.model.state_dict(),
        "optimiser": training.optimiser.state_dict(),
        "scheduler": training.scheduler.state_dict(),
        "train_logits": training.train_logits,
        "gradient_norms": training.gradient_norms,
        "epoch": training.epoch,
        "step": training.step,
        "seconds": training.seconds,
        "learning_rate": training.learning_rate,
        "records": [record.model_dump_json() for record in training.records],
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def read_resume(path: Path, job: Job) -> dict[str, Any]:
    """Return the state for :func:`take_over`; nothing in the file is executed (``weights_only``).

    Its "weights" (:class:`core.models.weights.WeightsReport`'s fields) say what the run once started from: that file is not
    needed any more. A state of an older version has none.

    Raises
    ------
    RunError
        The file is damaged, or belongs to another configuration or split.
    """
    import torch

    remedy = f"delete {path} to train from the beginning"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # Parsed, not as text: a setting that this version added has its default, and the run is the same.
        found = (state["schema_version"], parse_config(state["config"]), state["split"])
    except Exception as error:  # A damaged file fails in any way that zip, pickle or torch can.
        raise RunError(f"{path} cannot be read ({type(error).__name__}); {remedy}.") from error
    if found != (SCHEMA_VERSION, job.config, job.split.digest):
        raise RunError(f"{path} belongs to another configuration or split than config.json and split.json; {remedy}.")
    return dict(state)


def unpack_state(content: bytes, training: Training) -> None:
    """Take over into `training` what :func:`pack_state` of another process of the same run gave."""
    import torch

    take_over(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True), training)


def take_over(state: dict[str, Any], training: Training) -> None:
    """Let `training` go on from a state."""
    training.model.load_state_dict(state["model"])
    training.optimiser.load_state_dict(state["optimiser"])
    training.scheduler.load_state_dict(state["scheduler"])
    training.train_logits.copy_(state["train_logits"])
    if "gradient_norms" in state:  # an older version kept none
        training.gradient_norms.copy_(state["gradient_norms"])
    training.epoch, training.step = state["epoch"], state["step"]
    training.seconds, training.learning_rate = state["seconds"], state["learning_rate"]
    training.records = [EpochRecord.model_validate_json(text) for text in state["records"]]
