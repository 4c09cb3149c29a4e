"""The two-stage network: it learns to find the tumour from masks, and then classifies what it finds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from core.config import RunConfig, apply_settings
from core.data.cohort import scan_cohort
from core.data.select import select_sources
from core.data.study import Cohort
from core.dataset.masks import find_mask, load_masks
from core.dataset.table import build_table
from core.errors import DataError
from core.explain.cam import explain_many
from core.inference.predict import Predictor
from core.phantom.config import PhantomConfig
from core.phantom.truth import read_truth
from core.presets import find_preset
from core.runs.folder import RunFolder
from core.runs.records import DataSource, RunStatus
from core.settings import Settings
from core.training.trainer import run_training
from tests.phantoms import copy_phantom

SMALL = ("size_px=32", "slice_count=8", "grid_mm=8", "epochs=1", "batch_size=4", "device=cpu", "test_fraction=0.25")
CONFIG = apply_settings(find_preset("two-stage").config, SMALL)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("two") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=8, size=40, slices=12, seed=3))
    return scan_cohort(folder)


def train(
    cohort: Cohort, settings: Settings, folder: Path, config: RunConfig, told: list[RunStatus] | None = None
) -> RunFolder:
    heard = [] if told is None else told
    return run_training(settings, config, DataSource(root=str(cohort.root)), folder, on_status=heard.append)


def test_it_is_trained_on_masks_asked_without_and_explained(cohort: Cohort, settings: Settings, tmp_path: Path) -> None:
    statuses: list[RunStatus] = []
    run = train(cohort, settings, tmp_path / "run", apply_settings(CONFIG, ["mask_epochs=60"]), statuses)
    finding = [status for status in statuses if status.phase == "finding the tumour" and status.epoch]
    assert finding
    assert {status.epochs for status in finding} == {60}
    assert all(status.images_per_second > 0 and status.loss for status in finding)
    assert run.status().epochs == 1
    told = json.loads((run.path / "segmentation.json").read_text())
    assert told["n"] == 2
    assert told["dice_mean"] > 0.3  # the tumour is a hundredth of the volume: chance would be far below
    predictor = Predictor(run.checkpoint)
    assert bool(predictor.model.stage_one_trained)
    study = cohort.studies[0]
    answer = predictor.predict(study, synthetic=True)
    (part,) = answer.series
    (cam,) = explain_many(predictor, part.prepared)
    assert cam.heat.shape == (8, 32, 32)
    # What lies outside the region that is classified has no say.
    assert (cam.heat == 0).mean() > 0.3


def test_the_first_stage_changes_no_more(cohort: Cohort, settings: Settings, tmp_path: Path) -> None:
    runs = [
        train(cohort, settings, tmp_path / name, apply_settings(CONFIG, ["mask_epochs=1", f"epochs={epochs}"]))
        for name, epochs in (("short", 1), ("long", 2))
    ]
    first, second = (dict(Predictor(run.checkpoint).model.named_parameters()) for run in runs)
    names = [name for name in first if name.startswith("segmenter.")]
    assert names
    assert all(torch.equal(first[name], second[name]) for name in names)


def test_a_mask_is_drawn_where_the_tumour_is(cohort: Cohort, settings: Settings) -> None:
    table = build_table(cohort, CONFIG.prep, settings, jobs=1)
    masks = load_masks(cohort, table, np.arange(len(table)), CONFIG.prep, settings)
    assert len(masks) == len(cohort)
    contrast = list(CONFIG.prep.sequences).index("T1wCE")
    for row, mask in masks.items():
        image = table.images(np.array([row]))[0]
        head = image.max(axis=0) > 25
        assert mask.any()
        assert head[mask].mean() > 0.95
        assert image[contrast][mask].std() > 0


def test_a_cohort_without_masks_is_refused_with_the_remedy(cohort: Cohort, settings: Settings, tmp_path: Path) -> None:
    shutil.copytree(cohort.root, tmp_path / "bare", ignore=shutil.ignore_patterns("truth*", "synthetic.json"))
    with pytest.raises(DataError, match=r"first stage learns from masks. Put a segmentation \(…_seg.nii.gz"):
        train(scan_cohort(tmp_path / "bare"), settings, tmp_path / "run", CONFIG)


def test_a_segmentation_beside_the_scans_is_the_mask(cohort: Cohort, settings: Settings, tmp_path: Path) -> None:
    shutil.copytree(cohort.root, tmp_path / "bare", ignore=shutil.ignore_patterns("truth*", "synthetic.json"))
    bare = scan_cohort(tmp_path / "bare")
    study = bare.studies[0]
    assert find_mask(bare, study, settings) is None
    tumour = read_truth(cohort.root, study.study_id).tumour
    labels = np.where(tumour.array > 0.5, 4, 0).astype(np.uint8)
    labels[0, 0, 0] = 2  # oedema is no tumour
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ tumour.affine  # NIfTI counts to the right and to the front
    path = study.series[0].files[0].parent / "BraTS2021_00000_seg.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    found = find_mask(bare, study, settings)
    assert found is not None
    assert found.array.sum() == (labels == 4).sum()
    table = build_table(bare, CONFIG.prep, settings, jobs=1)
    rows = np.flatnonzero(table.rows["study_id"] == study.study_id)
    drawn = load_masks(bare, table, rows, CONFIG.prep, settings)[int(rows[0])]
    known = load_masks(cohort, table, rows, CONFIG.prep, settings)[int(rows[0])]
    assert np.logical_and(drawn, known).sum() / np.logical_or(drawn, known).sum() > 0.95
    assert select_sources(study, CONFIG.prep)
