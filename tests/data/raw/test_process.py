"""A raw study becomes NIfTI that is read as any other, with a record; a check that fails leaves nothing behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data.raw import process
from core.data.raw.config import RawConfig
from core.data.study import Study
from core.data.volume import read_volume
from core.errors import DataError, FrameOfReferenceError, RawStepError
from core.mri import MRSequence, Plane
from core.settings import Settings
from tests.data.raw.heads import MOVE, head, scan, write_study

QUICK = RawConfig(steps=("orient", "register", "grid"), grid_mm=3.0)


@pytest.fixture
def study(tmp_path: Path, settings: Settings) -> Study:
    volumes = {MRSequence.T1WCE: scan(MRSequence.T1WCE), MRSequence.FLAIR: scan(MRSequence.FLAIR, moved=True)}
    return write_study(tmp_path / "raw", "A1", volumes, settings)


def test_series_come_out_registered_on_one_grid_with_a_record(study: Study, tmp_path: Path, settings: Settings) -> None:
    found = process.process_study(study, QUICK, tmp_path / "out" / "A1", settings, synthetic=True)
    series = {one.sequence: one for one in found.study.series}
    assert series.keys() == {MRSequence.T1WCE, MRSequence.FLAIR}
    volumes = {name: read_volume(one, settings)[0] for name, one in series.items()}
    assert np.allclose(volumes[MRSequence.FLAIR].affine, volumes[MRSequence.T1WCE].affine)
    assert {one.processing for one in series.values()} == {"raw 1: orient, register, grid 3 mm"}
    frames = {one.frame_of_reference_uid for one in series.values()}
    assert len(frames) == 1
    assert frames.pop().startswith("2.25.")
    assert {volume.plane for volume in volumes.values()} == {Plane.AXIAL}
    truth = head().sample(
        head().images[MRSequence.FLAIR], volumes[MRSequence.FLAIR].affine, volumes[MRSequence.FLAIR].voxels.shape
    )
    assert np.corrcoef(truth.ravel(), volumes[MRSequence.FLAIR].array.ravel())[0, 1] > 0.93
    record = json.loads((found.folder / process.RECORD).read_text())
    assert record["checks"]["register"]["FLAIR"]["rotation_degrees"] == pytest.approx(8.8, abs=0.5)
    assert record["reference"] == "T1wCE"
    previews = process.read_previews(found.folder)
    assert set(previews) == {"came", "orient", "register", "grid"}
    assert previews["grid"]["FLAIR"].max() > 100
    told = {(row["step"], row["sequence"]): row["measured"] for row in process.describe_checks(record)}
    assert told["orient", "FLAIR"] == "from LPS, to LPS"
    assert "overlap 0." in told["register", "FLAIR"]
    assert "matrix" not in told["register", "FLAIR"]


def test_the_parts_of_the_work_are_counted_and_a_cancelled_one_leaves_nothing(
    study: Study, tmp_path: Path, settings: Settings
) -> None:
    told: list[tuple[int, int, str]] = []

    def stop_at_last(done: int, total: int, what: str = "") -> None:
        told.append((done, total, what))
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.process_study(study, QUICK, tmp_path / "out" / "A1", settings, progress=stop_at_last)
    assert told == [(1, 1, "register of FLAIR")]
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_read_again_until_the_source_or_the_steps_change(
    study: Study, tmp_path: Path, settings: Settings
) -> None:
    config, folder = RawConfig(steps=("orient",)), tmp_path / "out"
    assert not process.process_study(study, config, folder, settings).reused
    assert process.process_study(study, config, folder, settings).reused
    assert not process.process_study(study, RawConfig(steps=()), folder, settings).reused
    (study.series[0].files[0]).touch()
    assert not process.process_study(study, RawConfig(steps=()), folder, settings).reused


def test_without_the_grid_voxels_stay_as_they_are_and_only_their_place_moves(
    study: Study, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "register", lambda fixed, moving, pair: MOVE)
    found = process.process_study(study, RawConfig(steps=("register",)), tmp_path / "out", settings).study
    before = {one.sequence: read_volume(one, settings)[0] for one in study.series}
    after = {one.sequence: read_volume(one, settings)[0] for one in found.series}
    for sequence in before:
        assert np.array_equal(before[sequence].array, after[sequence].array)
    assert np.allclose(MOVE @ after[MRSequence.FLAIR].affine, before[MRSequence.FLAIR].affine, atol=1e-3)


def test_a_check_that_fails_names_study_and_step_and_leaves_nothing(tmp_path: Path, settings: Settings) -> None:
    volumes = {MRSequence.T1WCE: scan(MRSequence.T1WCE), MRSequence.T2W: scan(MRSequence.T2W, index=1)}
    study = write_study(tmp_path / "raw", "B2", volumes, settings)
    with pytest.raises(RawStepError, match=r"Study B2, register of T2w: .*different people.*--steps"):
        process.process_study(study, QUICK, tmp_path / "out" / "B2", settings)
    assert not (tmp_path / "out").exists()


def test_series_of_different_frames_need_registration_for_a_grid(
    study: Study, tmp_path: Path, settings: Settings
) -> None:
    apart = tuple(replace(one, frame_of_reference_uid=str(one.sequence)) for one in study.series)
    with pytest.raises(FrameOfReferenceError, match="add the step register"):
        process.process_study(replace(study, series=apart), RawConfig(steps=("grid",)), tmp_path / "out", settings)


def test_pictures_are_refused(study: Study, tmp_path: Path, settings: Settings) -> None:
    pictures = tuple(replace(one, kind="picture") for one in study.series)
    with pytest.raises(DataError, match="loose images"):
        process.process_study(replace(study, series=pictures), QUICK, tmp_path / "out", settings)


def test_the_brain_needs_a_t1w(tmp_path: Path, settings: Settings) -> None:
    study = write_study(tmp_path / "raw", "C3", {MRSequence.FLAIR: scan(MRSequence.FLAIR)}, settings)
    with pytest.raises(RawStepError, match="the study has none"):
        process.process_study(study, RawConfig(steps=("brain",)), tmp_path / "out", settings)
