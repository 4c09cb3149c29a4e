"""Keep the best epoch: its weights with their whole story, and what they said of the validation slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.dataset.intensity_profile import fingerprint
from core.dataset.predictions import build_predictions
from core.dataset.split import PARTS
from core.evaluation.aggregate import group_labels, to_groups
from core.evaluation.calibration import choose_threshold, fit_temperature, to_probabilities
from core.evaluation.conformal import fit_conformal
from core.evaluation.figures import compute_figures
from core.files import replace_atomically
from core.models.card import CheckpointCard
from core.mri import MRSequence
from core.presets import is_reproduction
from core.runs.environment import list_versions
from core.runs.folder import now
from core.runs.records import EpochRecord

if TYPE_CHECKING:
    from core.training.job import Job, Training


def save_best_checkpoint(job: Job, training: Training, record: EpochRecord, val_logits: NDArray[np.float32]) -> None:
    """Write best.safetensors and predictions.parquet of the job's run; does nothing without a run.

    Threshold and temperature are chosen here, on the validation patients, and go into the checkpoint.
    """
    from core.models.checkpoint import save_checkpoint

    if job.run is None:
        return
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in training.model.state_dict().items()}
    card = _describe_checkpoint(job, training, record, val_logits)
    save_checkpoint(job.run.checkpoint, weights, card)
    with replace_atomically(job.run.path / "predictions.parquet") as beside:
        build_predictions(job.table.rows.iloc[job.val_rows], val_logits).to_parquet(beside)


def _describe_checkpoint(
    job: Job, training: Training, record: EpochRecord, val_logits: NDArray[np.float32]
) -> CheckpointCard:
    table, split = job.table, job.split
    assert job.run is not None
    if training.intensity is None:
        training.intensity = fingerprint(table, job.train_rows)
    labels, patients = job.labels(job.val_rows), job.patients(job.val_rows)
    _, patient_logits = to_groups(
        val_logits, patients, job.config.aggregation, positive_class=table.positive_class, k=job.config.top_k
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
        name=job.run.name,
        config=job.config,
        class_names=table.class_names,
        positive_class=table.positive_class,
        sequences=_list_sequences(job),
        planes=_list_planes(job),
        synthetic=job.cohort.synthetic if job.cohort else False,
        labels_shuffled=job.run.source.shuffle_seed is not None,
        cohort_digest=split.cohort_digest,
        split_unit=split.unit,
        split_digest=split.digest,
        patients={part: int(table.rows["person"].iloc[split.indices(table, part)].nunique()) for part in PARTS},
        weights_origin=training.weights.origin,
        reproduction=is_reproduction(job.config) and job.run.source.shuffle_seed is None,
        epoch=record.epoch,
        threshold=threshold,
        temperature=temperature,
        conformal=fit_conformal(truth, probabilities).to_dict(),
        metrics={
            "val": {
                level: {name: figure.to_dict() for name, figure in chosen.items()} for level, chosen in figures.items()
            }
        },
        intensity=training.intensity,
        versions=list_versions(),
        created=now(),
    )


def _list_sequences(job: Job) -> tuple[MRSequence, ...]:
    seen = {name for names in job.table.rows["sequence"].iloc[job.train_rows].unique() for name in names.split("+")}
    return tuple(sequence for sequence in MRSequence if sequence in seen)


def _list_planes(job: Job) -> tuple[str, ...]:
    if job.cohort is None:
        return ()
    studies = set(job.table.rows["study_id"].iloc[job.train_rows])
    wanted = set(_list_sequences(job))
    return tuple(
        sorted(
            {
                str(series.plane)
                for series in job.cohort.series
                if series.study_id in studies and series.sequence in wanted
            }
        )
    )
