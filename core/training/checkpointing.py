"""What is kept of a training: the best epoch's checkpoint with its card, and the state to resume from."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch.nn import functional

from core.config import parse_config
from core.dataset.intensity_profile import fingerprint
from core.dataset.predictions import build_predictions
from core.dataset.split import PARTS
from core.errors import RunError
from core.evaluation.aggregate import group_labels, to_groups
from core.files import replace_atomically, write_atomic
from core.models.card import CheckpointCard
from core.models.checkpoint import save_checkpoint
from core.mri import MRSequence
from core.presets.paper import is_reproduction
from core.runs.environment import list_versions
from core.runs.folder import now
from core.runs.records import EpochRecord
from core.training.state import TrainingSpec, TrainingState

RESUME_SCHEMA = 1


def save_best_checkpoint(
    spec: TrainingSpec, state: TrainingState, record: EpochRecord, val_logits: NDArray[np.float32]
) -> None:
    """Write best.safetensors and predictions.parquet of the run; without a run, do nothing.

    Its card has no threshold, temperature or figures yet: :func:`core.runs.epoch_figures.calibrate_checkpoint` finds them from
    all epochs.
    """
    if spec.run is None:
        return
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.model.state_dict().items()}
    card = _describe_checkpoint(spec, state, record)
    save_checkpoint(spec.run.checkpoint, weights, card)
    with replace_atomically(spec.run.path / "predictions.parquet") as beside:
        build_predictions(spec.table.rows.iloc[spec.val_rows], val_logits).to_parquet(beside)


def keep_scores(spec: TrainingSpec, state: TrainingState, val_logits: NDArray[np.float32]) -> None:
    """Put into the state what the epoch says of each validation patient, from the logits of the slices (slices, classes)."""
    labels, patients = spec.labels(spec.val_rows), spec.patients(spec.val_rows)
    options: dict[str, Any] = {"positive_class": spec.table.positive_class, "k": spec.config.top_k}
    logits = to_groups(val_logits, patients, spec.config.aggregation, **options)[1]
    losses = functional.cross_entropy(
        torch.from_numpy(val_logits).double(), torch.from_numpy(labels), reduction="none"
    ).numpy()
    member = np.unique(patients, return_inverse=True)[1]
    sums = [np.bincount(member, values) for values in (losses, val_logits.argmax(axis=1) == labels)]
    state.val_scores[state.epoch - 1] = torch.from_numpy(np.column_stack([logits, *sums]))


def write_scores(spec: TrainingSpec, state: TrainingState) -> None:
    """Write what each finished epoch said of the validation patients, in the order of their names but without them."""
    if spec.run is not None:
        labels = group_labels(spec.labels(spec.val_rows), spec.patients(spec.val_rows))
        scores = state.val_scores[: state.epoch - 1].contiguous()
        write_atomic(spec.run.validation_file, save({"labels": torch.from_numpy(labels), "scores": scores}))


def save_resume_state(spec: TrainingSpec, state: TrainingState) -> None:
    """Write the state to resume from, atomically; without a run, do nothing. Raises StorageError where the disk is full."""
    if spec.run is not None:
        write_atomic(spec.run.resume_file, pack_state(spec, state))
        write_scores(spec, state)


def pack_state(spec: TrainingSpec, state: TrainingState) -> bytes:
    """Return the state as torch writes it, through memory: torch's own writer does not raise OSError on a full disk."""
    content = {
        "schema_version": RESUME_SCHEMA,
        "config": spec.config.model_dump_json(),
        "split": spec.split.digest,
        "weights": asdict(state.weights),
        "model": state.model.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "scheduler": state.scheduler.state_dict(),
        "train_logits": state.train_logits,
        "gradient_norms": state.gradient_norms,
        "epoch": state.epoch,
        "step": state.step,
        "seconds": state.seconds,
        "learning_rate": state.learning_rate,
        "val_scores": state.val_scores,
        "records": [record.model_dump_json() for record in state.records],
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def read_resume_state(spec: TrainingSpec) -> dict[str, Any]:
    """Return the saved state of the spec's run for :func:`restore_state`, empty where there is none.

    Nothing in the file is executed (``weights_only``). Its "weights" (the fields of
    :class:`core.models.weights.WeightsReport`) say what the run started from: that file is not needed any more. A state
    of an older version has none.

    Raises
    ------
    RunError
        The file is damaged, or belongs to another configuration or split.
    """
    if spec.run is None or not spec.run.resume_file.exists():
        return {}
    path = spec.run.resume_file
    remedy = f"delete {path} to train from the beginning"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        # Parsed, not as text: a setting that this version added has its default, and the run is the same.
        found = (content["schema_version"], parse_config(content["config"]), content["split"])
    except Exception as error:  # A damaged file fails in any way that zip, pickle or torch can.
        raise RunError(f"{path} cannot be read ({type(error).__name__}); {remedy}.") from error
    if found != (RESUME_SCHEMA, spec.config, spec.split.digest):
        raise RunError(f"{path} belongs to another configuration or split than config.json and split.json; {remedy}.")
    return dict(content)


def unpack_state(packed: bytes, state: TrainingState) -> None:
    """Restore into `state` what :func:`pack_state` of another process of the same run returned."""
    restore_state(torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True), state)


def restore_state(saved: dict[str, Any], state: TrainingState) -> None:
    """Restore a saved state into `state`, in place."""
    state.model.load_state_dict(saved["model"])
    state.optimiser.load_state_dict(saved["optimiser"])
    state.scheduler.load_state_dict(saved["scheduler"])
    state.train_logits.copy_(saved["train_logits"])
    for name in ("gradient_norms", "val_scores"):  # an older version kept none
        if name in saved:
            getattr(state, name).copy_(saved[name])
    state.epoch, state.step = saved["epoch"], saved["step"]
    state.seconds, state.learning_rate = saved["seconds"], saved["learning_rate"]
    state.records = [EpochRecord.model_validate_json(text) for text in saved["records"]]


def _describe_checkpoint(spec: TrainingSpec, state: TrainingState, record: EpochRecord) -> CheckpointCard:
    table, split = spec.table, spec.split
    assert spec.run is not None
    if state.intensity is None:
        state.intensity = fingerprint(table, spec.train_rows)
    return CheckpointCard(
        name=spec.run.name,
        config=spec.config,
        class_names=table.class_names,
        positive_class=table.positive_class,
        sequences=_list_sequences(spec),
        planes=tuple(sorted(table.rows["plane"].iloc[spec.train_rows].unique())),
        synthetic=spec.synthetic,
        processing=table.processing,
        labels_shuffled=spec.run.source.shuffle_seed is not None,
        cohort_digest=split.cohort_digest,
        split_unit=split.unit,
        split_digest=split.digest,
        patients={part: int(table.rows["person"].iloc[split.indices(table, part)].nunique()) for part in PARTS},
        weights_origin=state.weights.origin,
        reproduction=is_reproduction(spec.config) and spec.run.source.shuffle_seed is None,
        epoch=record.epoch,
        intensity=state.intensity,
        versions=list_versions(),
        created=now(),
    )


def _list_sequences(spec: TrainingSpec) -> tuple[MRSequence, ...]:
    seen = {name for names in spec.table.rows["sequence"].iloc[spec.train_rows].unique() for name in names.split("+")}
    return tuple(sequence for sequence in MRSequence if sequence in seen)
