"""The controls find a shortcut that was planted, and none where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.errors import EvaluationError
from core.experiments.controls.shortcuts import CONTROLS, describe_headers, find_shortcuts
from core.phantom.config import PhantomConfig
from core.settings import Settings
from tests.phantoms import copy_phantom

SMALL = {"studies": 16, "signal": 0, "slices": 4, "size": 32, "seed": 3}


def make(folder: Path, **options: object) -> Cohort:
    copy_phantom(folder, PhantomConfig.model_validate({**SMALL, **options}))
    return scan_cohort(folder, jobs=1)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make(tmp_path_factory.mktemp("planted") / "cohort", shortcut=True, scale_bar=True)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make(tmp_path_factory.mktemp("clean") / "cohort")


def test_a_scanner_and_a_scale_bar_that_are_tied_to_the_label_are_found(planted: Cohort, settings: Settings) -> None:
    found = find_shortcuts(planted, settings, permutations=59, jobs=1)
    assert found.found("headers")
    assert found.found("blanked")
    assert not found.found("shuffled")
    assert (found.results["headers"].auroc.value or 0) > 0.95
    assert "Manufacturer" in next(iter(found.features))
    assert found.panel[0].auroc == 1
    document = found.to_dict()
    assert document["controls"]["headers"]["predicts"] is True
    assert set(document["controls"]) == {control.name for control in CONTROLS}
    assert document["synthetic"] is True


def test_nothing_is_found_where_nothing_was_planted(clean: Cohort, settings: Settings) -> None:
    found = find_shortcuts(clean, settings, permutations=19, jobs=1)
    assert not found.found("headers")
    assert not found.found("blanked")
    assert not found.found("shuffled")


def test_the_headers_model_never_sees_an_id(planted: Cohort) -> None:
    said = describe_headers(planted.studies[0])
    assert {"scanner", "FLAIR plane", "FLAIR slices", "T2w pixel (mm)", "series"} <= set(said)
    assert planted.studies[0].study_id not in map(str, said.values())


def test_too_few_patients_are_refused(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(EvaluationError, match="Add patients"):
        find_shortcuts(make(tmp_path / "few", studies=8), settings, jobs=1)
