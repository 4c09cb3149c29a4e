"""Runs that look as the trainer leaves them, made in a moment: predictions and a card, and weights of one number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from core.config import RunConfig, SplitConfig
from core.dataset.split import Split
from core.models.card import CheckpointCard
from core.models.checkpoint import save_checkpoint
from core.mri import MRSequence
from core.runs.folder import RunFolder
from core.runs.records import DataSource, EpochRecord
from core.settings import Settings

COHORT = "c0ffee000000"


def make_judged_run(
    settings: Settings,
    name: str,
    *,
    patients: Sequence[int] = range(20),
    signal: float = 1.0,
    seed: int = 0,
    cohort: str = COHORT,
    class_names: tuple[str, str] = ("unmethylated", "methylated"),
    positive_class: int = 1,
    unit: str = "patient",
    test: Sequence[str] = ("90001", "90002"),
    state: Mapping[str, torch.Tensor] | None = None,
    **changes: object,
) -> RunFolder:
    """A finished run that judged validation patients; every second of them is positive, the odds rise by `signal`.

    The noise of a patient is the same in every run of one seed, so that such runs are alike.
    """
    options: dict[str, object] = {
        "preset": "honest",
        "weights": "none",
        "split": SplitConfig(split_unit=unit),
        **changes,
    }
    config = RunConfig(**options)  # type: ignore[arg-type]
    run = RunFolder.create(settings, config, DataSource(root="/data/cohort"), name=name, state="finished")
    rows = []
    for patient in patients:
        positive = patient % 2
        generator = np.random.default_rng([seed, patient])
        for index in range(2):
            odds = generator.normal() + signal * positive
            label = positive_class if positive else 1 - positive_class
            logits = {f"logit_{positive_class}": odds, f"logit_{1 - positive_class}": 0.0}
            rows.append(
                {"key": f"{patient:05d}|FLAIR|0|{index}", "study_id": f"{patient:05d}", "person": f"{patient:05d}",
                 "sequence": "FLAIR", "slice_index": index, "label": label, **logits}
            )  # fmt: skip
    pd.DataFrame(rows).to_parquet(run.path / "predictions.parquet")
    ids = tuple(f"{patient:05d}" for patient in patients)
    split = Split(train=("80001",), val=ids, test=tuple(test), unit="patient", seed=0, cohort_digest=cohort)
    (run.path / "split.json").write_text(split.to_json())
    sizes = {"slices": len(rows), "patients": len(ids), "per_class": [len(ids), len(ids)]}
    (run.path / "environment.json").write_text(
        json.dumps({"versions": {"torch": "2"}, "cohort_digest": cohort, "sizes": {"val": sizes}})
    )
    card = CheckpointCard(
        name=name, config=config, class_names=class_names, positive_class=positive_class,
        sequences=(MRSequence.FLAIR,), synthetic=False, cohort_digest=cohort, split_unit=unit,
        split_digest=split.digest, patients={"val": len(ids)}, weights_origin="random", reproduction=False, epoch=1,
    )  # fmt: skip
    save_checkpoint(run.checkpoint, state or {"weight": torch.zeros(1)}, card)
    for epoch in (1, 2):
        run.append_epoch(make_epoch(epoch))
    run.write_status(run.status().model_copy(update={"best_epoch": 1, "epoch": 2, "epochs": 2}))
    return run


def make_epoch(epoch: int) -> EpochRecord:
    """One line of epochs.jsonl."""
    return EpochRecord(
        epoch=epoch, learning_rate=0.001, train_loss=0.7 / epoch, train_accuracy=0.5, train_patient_auroc=0.5,
        val_loss=0.7, val_accuracy=0.5, val_patient_auroc=0.75, val_patient_auroc_low=0.4, val_patient_auroc_high=0.95,
        val_patient_accuracy=0.5, seconds=1, images_per_second=20, best=epoch == 1,
    )  # fmt: skip
