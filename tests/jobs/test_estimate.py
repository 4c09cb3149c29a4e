"""The estimate of a training's time scales with patients, slices and epochs, and needs a comparable run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.config import PrepConfig, RunConfig
from core.data.cohort import scan_cohort
from core.jobs.estimate import estimate_training
from core.phantom.config import PhantomConfig
from core.runs.folder import RunFolder, list_runs
from core.runs.records import DataSource
from core.settings import Settings
from tests.pages.conftest import make_record
from tests.phantoms import copy_phantom

CONFIG = RunConfig(weights="none", epochs=4, prep=PrepConfig(size_px=32, slice_count=2))


def test_time_is_scaled_from_a_comparable_run_and_unknown_without_one(tmp_path: Path, settings: Settings) -> None:
    copy_phantom(tmp_path / "cohort", PhantomConfig(studies=10, slices=4, size=32))
    cohort = scan_cohort(tmp_path / "cohort", jobs=1)
    assert estimate_training(cohort, CONFIG, list_runs(settings)) is None
    run = RunFolder.create(settings, CONFIG, DataSource(root=str(tmp_path / "cohort")), name="done", state="finished")
    run.append_epoch(make_record(1).model_copy(update={"seconds": 12.0}))
    run.path.joinpath("environment.json").write_text(
        json.dumps({"sizes": {"train": {"patients": 6, "slices": 48, "per_class": [24, 24]}}})
    )
    found = estimate_training(cohort, CONFIG, list_runs(settings))
    assert found is not None
    assert found.seconds == pytest.approx(12.0 * 4)  # six of ten patients are trained on again
    assert found.run == "done"
    twice = CONFIG.model_copy(update={"prep": CONFIG.prep.model_copy(update={"slice_count": 4})})
    again = estimate_training(cohort, twice, list_runs(settings))
    assert again is not None
    assert again.seconds == pytest.approx(2 * found.seconds)
    half = replace(cohort, studies=cohort.studies[:5])
    fewer = estimate_training(half, CONFIG, list_runs(settings))
    assert fewer is not None
    assert fewer.seconds == pytest.approx(found.seconds / 2)
    other = CONFIG.model_copy(update={"architecture": "resnet34"})
    assert estimate_training(cohort, other, list_runs(settings)) is None
