"""Radiomics as a baseline: where the tumour lies, who has none, and what it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.data.cohort import scan_cohort
from core.data.volume import read_volume
from core.errors import ConfigError, DataError
from core.experiments.referee import radiomics
from core.experiments.referee.radiomics import PREFIX, measure_radiomics
from core.mri import MRSequence
from core.phantom.config import PhantomConfig
from core.phantom.truth import read_truth
from core.settings import Settings
from tests.phantoms import copy_phantom


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("radiomics") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=4, slices=16, size=64))
    return folder


def test_the_tumour_is_measured_where_it_lies_in_millimetres(root: Path, settings: Settings) -> None:
    cohort = scan_cohort(root)
    study = cohort.studies[0]
    image, mask = radiomics._lay_around_tumour(cohort, study, MRSequence.T1WCE, settings)
    truth = read_truth(cohort.root, study.study_id).tumour
    voxel_mm3 = abs(np.linalg.det(truth.affine[:3, :3]))
    assert mask.sum() == pytest.approx(np.count_nonzero(truth.array >= 0.5) * voxel_mm3, rel=0.1)
    assert not mask[[0, -1]].any()
    assert image.shape == mask.shape
    volume = read_volume(next(one for one in study.series if one.sequence == MRSequence.T1WCE), settings)[0].array
    head = volume[volume > 0]
    assert image.min() == pytest.approx((volume.min() - head.mean()) / head.std(), abs=1.0)


def test_what_cannot_be_measured_is_named(root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = scan_cohort(root)
    monkeypatch.setattr(radiomics, "FEWEST_VOXELS", 10**9)
    with pytest.raises(DataError, match="cubic millimetres; 1000000000 are needed"):
        radiomics._lay_around_tumour(cohort, cohort.studies[0], MRSequence.T1WCE, settings)
    monkeypatch.setattr(radiomics, "find_mask", lambda *_: None)
    with pytest.raises(DataError, match="no mask of the tumour"):
        radiomics._lay_around_tumour(cohort, cohort.studies[0], MRSequence.T1WCE, settings)
    monkeypatch.setattr(radiomics, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"requirements-radiomics\.txt"):
        measure_radiomics(cohort, MRSequence.T1WCE, settings)


def test_every_labelled_person_has_features(root: Path, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mirp", reason="an extra: requirements-radiomics.txt")
    frame, notes = measure_radiomics(scan_cohort(root), MRSequence.T1WCE, settings)
    assert capsys.readouterr().out == ""  # which is the JSON's alone
    assert len(frame) == 4
    assert notes == []
    assert len(frame.columns) > 100
    assert all(name.startswith(PREFIX) for name in frame)
    assert (frame[f"{PREFIX}morph_volume"] > 1000).all()  # cubic millimetres
