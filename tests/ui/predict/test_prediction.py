"""Answers and maps find their slice in the viewer, also for loose images of any shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import PrepConfig
from core.data.prepare.examples import PreparedSeries, list_seen
from core.data.prepare.slices import prepare_source
from core.data.study import Series, Study
from core.data.upload import open_scan
from core.inference.prediction import Prediction, SeriesPrediction, SlicePrediction
from core.mri import MRSequence, Plane
from core.phantom.study import make_sample_study
from core.settings import Settings
from ui.predict.prediction import _lay_back, strongest_slice, study_stacks
from ui.widgets.stacks import read_stack


def answer_all(series: Series, prepared: PreparedSeries, study_id: str) -> Prediction:
    """A prediction whose probabilities rise from slice to slice."""
    slices = tuple(
        SlicePrediction(
            sequence=series.sequence,
            slice_index=int(index),
            position_mm=float(prepared.position_mm[number]),
            file=prepared.files[number],
            probability=(number + 1) / 10,
        )
        for number, index in enumerate(prepared.slice_index)
    )
    seen = list_seen(prepared, PrepConfig(), str(series.sequence))
    return Prediction(
        study_id=study_id,
        probability=0.5,
        prediction="methylated",
        threshold=0.5,
        class_probabilities=(0.5, 0.5),
        series=(SeriesPrediction(series=series, prepared=prepared, slices=slices, seen=seen),),
        warnings=(),
        seconds=0.1,
    )


@pytest.fixture(autouse=True)
def without_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read anew each time: what is cached for a session needs one."""
    monkeypatch.setattr("ui.widgets.loaders._load_stack", lambda files, sequence, series: read_stack(series))


@pytest.fixture
def study(tmp_path: Path, settings: Settings) -> Study:
    """A synthetic study of four series."""
    folder = make_sample_study(tmp_path / "sample", seed=3, mgmt_value=1, slices=8, size=48)
    return open_scan([folder], tmp_path / "work", settings).studies[0]


def test_a_study_is_shown_in_the_usual_order_with_blank_slices_kept(study: Study) -> None:
    stacks, faults = study_stacks(study, None)
    assert [stack.sequence for stack in stacks] == ["FLAIR", "T1w", "T1wCE", "T2w"]
    assert all(stack.pixels.shape[0] == 8 == len(stack.blank) for stack in stacks)
    assert all(np.all(np.diff(stack.positions) > 0) for stack in stacks)
    assert not faults


def test_answers_stand_at_the_slices_that_the_model_saw(study: Study) -> None:
    series = study.find(MRSequence.T1WCE)
    assert series is not None
    prepared = prepare_source((series,), PrepConfig(size_px=32, slice_count=3))
    stacks, _ = study_stacks(study, answer_all(series, prepared, study.study_id))
    seen = next(stack for stack in stacks if stack.sequence == MRSequence.T1WCE)
    assert list(seen.probabilities) == list(prepared.slice_index)
    assert np.allclose([seen.positions[index] for index in seen.probabilities], prepared.position_mm)
    assert not seen.blank[list(seen.probabilities)].any()
    assert strongest_slice(stacks) == (seen, int(prepared.slice_index[-1]))
    assert strongest_slice(stacks, highest=False) == (seen, int(prepared.slice_index[0]))
    assert all(not stack.probabilities for stack in stacks if stack is not seen)


def test_every_series_that_the_model_saw_is_shown_with_its_own_answers(study: Study) -> None:
    flair, other = study.find(MRSequence.FLAIR), study.find(MRSequence.T2W)
    assert flair is not None
    assert other is not None
    second = replace(other, sequence=MRSequence.FLAIR)
    study = replace(study, series=tuple(second if one is other else one for one in study.series))
    prep = PrepConfig(size_px=32, slice_count=3)
    answers = [answer_all(one, prepare_source((one,), prep), study.study_id) for one in (flair, second)]
    both = replace(answers[0], series=(*answers[0].series, *answers[1].series))
    stacks, _ = study_stacks(study, both)
    assert [stack.title for stack in stacks] == ["FLAIR", "FLAIR (2)", "T1w", "T1wCE"]
    assert [stack.series_uid for stack in stacks[:2]] == [flair.series_uid, second.series_uid]
    alone, _ = study_stacks(study, answers[0])
    assert [stack.title for stack in alone] == ["FLAIR", "T1w", "T1wCE"]
    for stack, part in zip(stacks, both.series, strict=False):
        assert list(stack.probabilities) == list(part.prepared.slice_index)


def test_a_series_that_cannot_be_read_is_named_and_the_rest_is_shown(study: Study) -> None:
    broken = study.find(MRSequence.T2W)
    assert broken is not None
    for file in broken.files:
        file.write_bytes(b"no longer a scan")
    stacks, faults = study_stacks(study, None)
    assert [stack.sequence for stack in stacks] == ["FLAIR", "T1w", "T1wCE"]
    assert any("T2w" in fault.path for fault in faults)


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_a_map_lies_where_it_belongs_on_a_loose_image(tmp_path: Path, fit: str) -> None:
    # An image twice as wide as high, the map at its lower right: the viewer pads it above and below.
    path = tmp_path / "00001_1.png"
    Image.fromarray(np.full((40, 80), 128, np.uint8)).save(path)
    series = Series(
        study_id="00001",
        sequence=MRSequence.T1WCE,
        series_uid="1",
        plane=Plane.UNKNOWN,
        files=(path,),
        kind="picture",
    )
    prepared = prepare_source((series,), PrepConfig.model_validate({"size_px": 64, "fit": fit, "crop": False}))
    stack, _ = read_stack(series)
    frame = prepared.frames[0]
    heat = np.zeros((64, 64), np.float32)
    heat[(frame.top + frame.bottom) // 2 : frame.bottom, (frame.left + frame.right) // 2 : frame.right] = 1
    laid = _lay_back(heat, prepared, 0, stack)
    side = stack.pixels.shape[1]
    rows, columns = np.nonzero(laid > 0.5)
    assert laid.shape == (side, side)
    assert not stack.in_mm
    assert (rows.min() / side, rows.max() / side) == pytest.approx((0.5, 0.75), abs=0.03)
    assert (columns.min() / side, columns.max() / side) == pytest.approx((0.5, 1.0), abs=0.03)
