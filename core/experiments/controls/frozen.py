"""The fast permutation test: a linear head on frozen features, so that a thousand shuffles take a minute.

It does not test a training run: the backbone is never trained, and must never have seen these labels. It tests whether a
linear head on the backbone's features predicts the label; a network that is trained may find more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from core.config import RunConfig
from core.data.study import Cohort
from core.dataset.predictions import name_patients
from core.dataset.shuffle import name_site
from core.dataset.slice_table import SliceTable
from core.dataset.table import build_table
from core.errors import ConfigError, EvaluationError
from core.evaluation.permutation import exchange_within
from core.experiments.controls.head_result import HeadResult, mean_by_patient
from core.experiments.controls.linear_head import evaluate_head
from core.models.forward import choose_compute, place_model, score_images
from core.models.registry import find_architecture
from core.models.weights import build_model
from core.progress import Progress, silent
from core.settings import Settings

BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrozenPermutation:
    """The observed AUROC by patient, and those of shuffled labels."""

    head: HeadResult
    backbone: str
    """The network, and where its weights come from."""
    patients: int
    slices: int
    synthetic: bool

    def to_dict(self) -> dict[str, Any]:
        """As ``permute --fast --json`` prints it."""
        return {
            "kind": "frozen features",
            "backbone": self.backbone,
            "patients": self.patients,
            "slices": self.slices,
            "synthetic": self.synthetic,
            "observed": self.head.auroc.to_dict(),
            "permutations": len(self.head.null),
            "p": self.head.p_value,
            "within": self.head.within,
            "null": [float(value) for value in self.head.null],
        }


def permute_frozen(
    cohort: Cohort,
    settings: Settings,
    config: RunConfig,
    *,
    permutations: int = 999,
    jobs: int | None = None,
    progress: Progress = silent,
) -> FrozenPermutation:
    """Test by permutation whether frozen features of a backbone predict the label.

    The slices' features are averaged for each patient, reduced to ten principal components within each training part, and
    classified by a logistic regression with a fixed penalty, in five folds by patient.

    Parameters
    ----------
    cohort, settings
        What, and where the cache lies.
    config
        Preparation, architecture, weights and seed; nothing is trained, so the rest is not used.
    permutations
        How often the labels are shuffled by patient.
    jobs
        Processes to prepare with.
    progress
        Called per series, per slice and per permutation; may raise to stop.

    Raises
    ------
    EvaluationError
        More than two classes, or fewer than six patients of one.
    WeightsUnavailableError
        The pretrained weights cannot be had.
    """
    if len(cohort.class_names) != 2:
        raise EvaluationError(f"The test is made for two classes; {cohort.root} has {len(cohort.class_names)}.")
    table = build_table(cohort, config.prep, settings, jobs=jobs, progress=progress)
    rows = np.flatnonzero(table.rows["label"].to_numpy() >= 0).astype(np.int64)
    features, backbone = frozen_features(table, rows, config, progress)
    _, first, member = np.unique(name_patients(table.rows.iloc[rows]), return_index=True, return_inverse=True)
    labels = table.rows["label"].to_numpy(dtype=np.int64)[rows[first]]
    sites = {study.study_id: name_site(study) for study in cohort.labelled}
    truth = (labels == table.positive_class).astype(np.int64)
    head = evaluate_head(
        mean_by_patient(features, member),
        truth,
        permutations=permutations,
        seed=config.seed,
        nested=False,
        exchange=exchange_within([sites[name] for name in table.rows["study_id"].to_numpy()[rows[first]]], truth),
        progress=progress,
    )
    return FrozenPermutation(
        head=head, backbone=backbone, patients=len(labels), slices=len(rows), synthetic=cohort.synthetic
    )


def frozen_features(
    table: SliceTable, rows: NDArray[np.int64], config: RunConfig, progress: Progress = silent
) -> tuple[NDArray[np.float32], str]:
    """Return the features of each image before the head, (n, features), and the backbone's name.

    Raises
    ------
    ConfigError
        The network's head is not one layer that can be taken off.
    WeightsUnavailableError
        The pretrained weights cannot be had.
    """
    architecture = find_architecture(config.architecture)
    model, report = build_model(config.architecture, 2, config.weights, config.seed)
    _remove_head(model, architecture.head)
    compute = choose_compute(config)
    model = place_model(model, compute)
    pieces = []
    for start in range(0, len(rows), BATCH):
        images = table.images(rows[start : start + BATCH])
        pieces.append(score_images(model, images, architecture, compute))
        progress(start + len(images), len(rows), "features")
    return np.concatenate(pieces), f"{architecture.title}, {report.origin} weights"


def _remove_head(model: nn.Module, head: str) -> None:
    parent, _, name = head.rpartition(".")
    try:
        owner = model.get_submodule(parent)
        if not isinstance(getattr(owner, name), nn.Linear):
            raise AttributeError(name)
        setattr(owner, name, nn.Identity())
    except AttributeError as error:
        raise ConfigError(
            f"The head {head!r} of this network cannot be taken off; choose an architecture that ends in one linear layer, "
            "for example resnet18."
        ) from error
