"""What is kept of a training: the best epoch's checkpoint with its card, and the state to resume from."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import parse_config
from core.dataset.intensity_profile import fingerprint
from core.dataset.predictions import build_predictions
from core.dataset.split import PARTS
from core.errors import RunError
from core.evaluation.aggregate import group_labels, to_groups
from core.evaluation.calibration import choose_threshold, fit_temperature, to_probabilities
from core.evaluation.conformal import fit_conformal
from core.evaluation.figures import compute_figures
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

    Threshold and temperature are chosen here, on the validation patients, and go into the checkpoint's card.
    """
    if spec.run is None:
        return
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.model.state_dict().items()}
    card = _describe_checkpoint(spec, state, record, val_logits)
    save_checkpoint(spec.run.checkpoint, weights, card)
    with replace_atomically(spec.run.path / "predictions.parquet") as beside:
        build_predictions(spec.table.rows.iloc[spec.val_rows], val_logits).to_parquet(beside)


def save_resume_state(spec: TrainingSpec, state: TrainingState) -> None:
    """Write the state to resume from, atomically; without a run, do nothing. Raises StorageError where the disk is full."""
    if spec.run is not None:
        write_atomic(spec.run.resume_file, pack_state(spec, state))


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
    if "gradient_norms" in saved:  # an older version kept none
        state.gradient_norms.copy_(saved["gradient_norms"])
    state.epoch, state.step = saved["epoch"], saved["step"]
    state.seconds, state.learning_rate = saved["seconds"], saved["learning_rate"]
    state.records = [EpochRecord.model_validate_json(text) for text in saved["records"]]


def _describe_checkpoint(
    spec: TrainingSpec, state: TrainingState, record: EpochRecord, val_logits: NDArray[np.float32]
) -> CheckpointCard:
    table, split = spec.table, spec.split
    assert spec.run is not None
    if state.intensity is None:
        state.intensity = fingerprint(table, spec.train_rows)
    labels, patients = spec.labels(spec.val_rows), spec.patients(spec.val_rows)
    _, patient_logits = to_groups(
        val_logits, patients, spec.config.aggregation, positive_class=table.positive_class, k=spec.config.top_k
    )
    truth = group_labels(labels, patients)
    temperature = fit_temperature(truth, patient_logits)
    probabilities = to_probabilities(patient_logits, temperature)
    threshold = choose_threshold(truth, probabilities[:, table.positive_class], table.positive_class)
    options: dict[str, Any] = {
        "class_names": table.class_names,
        "positive_class": table.positive_class,
        "threshold": threshold,
        "temperature": temperature,
    }
    figures = {
        "patient": compute_figures(truth, patient_logits, **options),
        "slice": compute_figures(labels, val_logits, patients, **options),
    }
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
        threshold=threshold,
        temperature=temperature,
        conformal=fit_conformal(truth, probabilities).to_dict(),
        metrics={
            "val": {
                level: {name: figure.to_dict() for name, figure in chosen.items()} for level, chosen in figures.items()
            }
        },
        intensity=state.intensity,
        versions=list_versions(),
        created=now(),
    )


def _list_sequences(spec: TrainingSpec) -> tuple[MRSequence, ...]:
    seen = {name for names in spec.table.rows["sequence"].iloc[spec.train_rows].unique() for name in names.split("+")}
    return tuple(sequence for sequence in MRSequence if sequence in seen)
