"""A study drawn again with another biomarker differs inside the tumour, and nowhere else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.config import PrepConfig
from core.data.cohort import scan_cohort
from core.data.prepare.cache import load_prepared
from core.data.study import Cohort
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.phantom.counterfactual import find_changes, make_counterfactual
from core.phantom.truth import draw_truth, read_truth
from core.settings import Settings, load_settings

PREP = PrepConfig(size_px=96, slice_count=3, slice_span=0.3)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("twins") / "cohort"
    make_phantom(folder, PhantomConfig(studies=2, signal=3, seed=8, slices=12, size=64), jobs=1)
    return scan_cohort(folder)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"MGMT_LAB_HOME": str(tmp_path / "home"), "MGMT_LAB_THREADS": "1"})


def test_only_the_tumour_changes(cohort: Cohort, settings: Settings) -> None:
    for study in cohort:
        twin = make_counterfactual(cohort.root, study.study_id, settings)
        assert twin is not None
        truth = read_truth(cohort.root, study.study_id)
        assert twin.original_z == pytest.approx(truth.z)
        assert twin.z in (0.0, 3.0)
        assert abs(twin.z - truth.z) >= 1.5
        for series in study.series:
            other = next(one for one in twin.study.series if one.sequence == series.sequence)
            prepared = load_prepared(series, PREP, settings)
            changed = find_changes(prepared, load_prepared(other, PREP, settings))
            assert changed is not None
            tumour = draw_truth(truth, series, prepared, settings)
            assert changed.sum() > 0.1 * tumour.sum()
            assert (changed & ~tumour).sum() <= 0.05 * changed.sum()


def test_it_is_drawn_once_and_another_box_is_no_counterfactual(cohort: Cohort, settings: Settings) -> None:
    study = cohort.studies[0]
    twin = make_counterfactual(cohort.root, study.study_id, settings)
    assert twin is not None
    files = {path: path.stat().st_mtime_ns for path in settings.cache.rglob("*.dcm")}
    assert make_counterfactual(cohort.root, study.study_id, settings) is not None
    assert {path: path.stat().st_mtime_ns for path in settings.cache.rglob("*.dcm")} == files
    prepared = load_prepared(study.series[0], PREP, settings)
    moved = replace(prepared, slice_index=prepared.slice_index + np.int32(1))
    assert find_changes(prepared, moved) is None


def test_data_from_elsewhere_have_none(cohort: Cohort, settings: Settings, tmp_path: Path) -> None:
    assert make_counterfactual(tmp_path, "00001", settings) is None
    assert make_counterfactual(cohort.root, "00001", settings) is None


def test_several_at_once_draw_it_once(cohort: Cohort, settings: Settings) -> None:
    study_id = cohort.studies[0].study_id
    with ThreadPoolExecutor(4) as pool:
        twins = list(pool.map(lambda _: make_counterfactual(cohort.root, study_id, settings), range(4)))
    assert len({twin.study for twin in twins if twin is not None}) == 1
    assert None not in twins
