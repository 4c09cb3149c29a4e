"""The meter on images whose leak is known: every patient a shade of his own, or nothing that tells him."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.data.cohort import scan_cohort
from core.dataset.slice_table import SliceTable
from core.errors import EvaluationError
from core.experiments.controls.leak_meter import LeakMeter, measure_cohort, measure_leak
from core.experiments.controls.thumbnails import make_thumbnails
from core.settings import Settings
from tests.data.tables import alternating, make_table

COUNT, SLICES = 24, 4


def images_of(kind: str, seed: int = 0) -> tuple[NDArray[np.uint8], ...]:
    generator = np.random.default_rng(seed)
    own = generator.integers(40, 200, (COUNT, 1, 24, 24))
    noise = generator.integers(0, 20, (COUNT, SLICES, 24, 24))
    if kind == "patients differ":
        return tuple((own + noise).astype(np.uint8))
    label = np.arange(COUNT)[:, None, None, None] % 2
    shown = 100 * label if kind == "label shows" else 0
    return tuple((generator.integers(0, 60, (COUNT, SLICES, 24, 24)) + shown).astype(np.uint8))


def meter(kind: str, seed: int = 0) -> LeakMeter:
    table = make_table(alternating(COUNT), slices=SLICES, size_px=24)
    return measure_leak(replace(table, arrays=images_of(kind)), repeats=5, seed=seed)


def values(found: LeakMeter) -> list[float]:
    figures = (found.by_slice, found.by_slice_shuffled, found.by_patient, found.by_patient_shuffled)
    assert None not in [figure.value for figure in figures]
    return [float(figure.value or 0) for figure in figures]


def test_patients_that_can_be_told_apart_leak_whatever_the_labels_mean() -> None:
    found = meter("patients differ")
    true, shuffled, honest, honest_shuffled = values(found)
    assert found.same_patient.value == 1
    assert true == shuffled == 1
    assert honest < 0.75
    assert honest_shuffled < 0.75


def test_a_label_that_shows_is_found_by_patient_too_and_shuffled_labels_are_not() -> None:
    true, shuffled, honest, honest_shuffled = values(meter("label shows"))
    assert true == honest == 1
    assert shuffled < 0.75
    assert honest_shuffled < 0.75


def test_where_nothing_tells_there_is_no_leak() -> None:
    found = meter("noise")
    assert max(values(found)) < 0.7
    assert (found.same_patient.value or 0) < 0.2


def test_the_dose_curve_rises_with_the_share_of_siblings_and_starts_at_the_split_by_patient() -> None:
    found = meter("patients differ")
    shuffled = [point.shuffled.value or 0 for point in found.dose]
    assert [point.share for point in found.dose] == [0, 0.25, 0.5, 0.75, 1]
    assert shuffled == sorted(shuffled)
    assert shuffled[0] < 0.75
    assert shuffled[-1] == 1


def test_every_figure_has_its_n_and_an_interval_about_patients() -> None:
    found = meter("noise")
    assert found.slices == found.by_slice.n == COUNT * SLICES
    assert found.patients == COUNT
    for figure in (found.by_slice, found.by_patient, found.same_patient, found.dose[2].shuffled):
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= (figure.value or 0) <= figure.high
        assert "patients" in figure.method


def test_it_gives_the_same_again_and_another_seed_differs() -> None:
    assert meter("noise") == meter("noise")
    assert meter("noise") != meter("noise", seed=1)


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(EvaluationError, match="at least 10"):
        measure_leak(make_table(alternating(6)))


def test_unlabelled_slices_are_left_out() -> None:
    labels = {**alternating(COUNT), "90000": -1}
    assert measure_leak(make_table(labels, slices=2), repeats=1).slices == COUNT * 2


def test_of_a_very_large_cohort_whole_patients_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.experiments.controls.leak_meter.MOST_SLICES", 50)
    table: SliceTable = make_table(alternating(COUNT), slices=SLICES)
    found = measure_leak(table, repeats=1)
    assert found.patients == 12
    assert found.slices == 48
    assert found.notes


def test_thumbnails_average() -> None:
    image = np.zeros((1, 96, 96), np.uint8)
    image[0, :4, :4] = 160
    small = make_thumbnails(image).reshape(24, 24)
    assert small[0, 0] == 160
    assert small.sum() == 160


def test_real_slices_leak(shared_data: Path, settings: Settings) -> None:
    cohort = scan_cohort(
        shared_data / "rsna_t1wce_jpeg", labels=shared_data / "labels" / "train_labels.csv", layout="flat"
    )
    true, shuffled, honest, _ = values(measure_cohort(cohort, settings, repeats=5, jobs=1))
    assert true > 0.85
    assert shuffled > 0.85
    assert honest < 0.75
