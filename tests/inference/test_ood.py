"""The checks find what differs, with its measure, and say nothing where nothing does."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.config import PrepConfig, RunConfig
from core.data.prepare.slices import PreparedSeries, prepare_source
from core.data.study import Series
from core.dataset.intensity_profile import BINS, intensity_histogram
from core.inference.ood import GREY_LIMIT, check_series, grey_distance
from core.models.card import CheckpointCard
from core.mri import CLASS_NAMES, MRSequence, Plane

shares = arrays(np.float64, BINS, elements=st.floats(0.001, 1)).map(lambda values: values / values.sum())


def card(**changes: Any) -> CheckpointCard:
    fields: dict[str, Any] = {
        "name": "tiny",
        "config": RunConfig(),
        "class_names": CLASS_NAMES,
        "positive_class": 1,
        "sequences": (MRSequence.FLAIR,),
        "synthetic": False,
        "cohort_digest": "",
        "split_unit": "patient",
        "split_digest": "",
        "patients": {},
        "weights_origin": "random",
        "reproduction": False,
        "epoch": 1,
    }
    return CheckpointCard(**(fields | changes))


def series(**changes: Any) -> Series:
    fields: dict[str, Any] = {
        "study_id": "00001",
        "sequence": MRSequence.FLAIR,
        "series_uid": "1.2",
        "plane": Plane.AXIAL,
        "files": tuple(Path(f"Image-{number}.dcm") for number in range(16)),
        "rows": 64,
        "columns": 64,
        "spacing_mm": (5.0, 3.5, 3.5),
    }
    return Series(**(fields | changes))


def kinds(*arguments: Any) -> list[str]:
    return [finding.kind for finding in check_series(*arguments)]


@given(first=shares, second=shares)
def test_distance_is_a_distance(first: np.ndarray, second: np.ndarray) -> None:
    distance = grey_distance(first, second)
    assert 0 <= distance <= 1
    assert distance == pytest.approx(grey_distance(second, first), abs=1e-9)
    assert grey_distance(first, first) == pytest.approx(0, abs=1e-6)


def test_distance_of_strangers_is_one() -> None:
    assert grey_distance([1, 0], [0, 1]) == pytest.approx(1)
    assert grey_distance([0.5, 0.5], [1, 0]) == pytest.approx(0.5579, abs=1e-4)


def test_a_scan_like_the_training_images_is_passed_in_silence(prepared: PreparedSeries) -> None:
    known = card(intensity={"FLAIR": intensity_histogram(prepared.pixels)}, planes=("axial",))
    assert not check_series(series(), prepared, known)
    assert not check_series(series(), prepared, card())


def test_inverted_images_are_found_with_their_measure(prepared: PreparedSeries) -> None:
    dark = replace(prepared, pixels=(prepared.pixels // 4))
    known = card(intensity={"FLAIR": intensity_histogram(dark.pixels)})
    (finding,) = check_series(series(), replace(dark, pixels=255 - dark.pixels), known)
    assert finding.kind == "grey"
    assert isinstance(finding.value, float)
    assert finding.value > GREY_LIMIT
    assert f"{finding.value:.2f}" in finding.sentence
    assert "FLAIR" in finding.sentence
    assert finding.remedy


def test_unnamed_images_are_compared_with_all_sequences(prepared: PreparedSeries) -> None:
    like = intensity_histogram(prepared.pixels)
    unnamed = series(sequence=MRSequence.UNKNOWN, kind="picture", spacing_mm=None, plane=Plane.UNKNOWN)
    assert not kinds(unnamed, prepared, card(intensity={"FLAIR": like, "T2w": like}))
    assert kinds(unnamed, prepared, card(intensity={"FLAIR": [1.0] + [0.0] * 15})) == ["grey"]


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"plane": Plane.SAGITTAL}, "plane", "sagittal"),
        ({"spacing_mm": (5.0, 0.5, 0.5)}, "field_of_view", "32 mm"),
        ({"spacing_mm": (5.0, 10.0, 3.5)}, "field_of_view", "640 mm"),
        ({"spacing_mm": (12.5, 3.5, 3.5)}, "slice_gap", "12.5 mm"),
    ],
)
def test_odd_geometry_is_named(prepared: PreparedSeries, changes: dict[str, Any], kind: str, said: str) -> None:
    (finding,) = check_series(series(**changes), prepared, card(planes=("axial",)))
    assert finding.kind == kind
    assert said in finding.sentence


def test_few_slices_and_coarse_slices_are_named(prepared: PreparedSeries) -> None:
    assert kinds(series(), replace(prepared, slice_total=6, blank_count=2), card()) == ["few_slices"]
    coarse = replace(prepared.frames[0], row_stop=20)
    assert kinds(series(), replace(prepared, frames=(coarse,) * 5), card()) == ["resolution"]


@pytest.fixture(scope="module")
def real_patients(shared_data: Path) -> dict[str, list[Path]]:
    folder = shared_data / "rsna_t1wce_jpeg"
    if not folder.is_dir():
        pytest.skip(f"no real slices at {folder}")
    patients: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        patients[path.name.split("_")[0]].append(path)
    return patients


def test_limit_passes_real_patients_and_stops_inverted_ones(real_patients: dict[str, list[Path]]) -> None:
    pixels = {
        patient: prepare_source(
            (series(sequence=MRSequence.T1WCE, kind="picture", spacing_mm=None, files=tuple(files)),),
            PrepConfig(size_px=96),
        ).pixels
        for patient, files in real_patients.items()
    }
    everybody = intensity_histogram(np.concatenate(list(pixels.values())))
    usual = [grey_distance(intensity_histogram(own), everybody) for own in pixels.values()]
    inverted = [grey_distance(intensity_histogram(255 - own), everybody) for own in pixels.values()]
    assert len(usual) > 50
    assert np.mean(np.array(usual) > GREY_LIMIT) <= 0.02
    assert min(inverted) > GREY_LIMIT
