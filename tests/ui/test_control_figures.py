"""The controls' images hold what they were given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.evaluation.figure import Figure
from core.experiments.controls.leak_meter import LeakMeter, measure_leak
from core.experiments.twin.pair import Arm
from core.reports.palette import DARK, LIGHT, Palette
from core.runs.records import EpochRecord
from tests.data.tables import alternating, make_table
from tests.pages.conftest import make_record
from ui.figures.controls import draw_dose, draw_intervals, draw_leak, draw_null
from ui.figures.twin import draw_split_sketch, draw_twins


@pytest.fixture(scope="module")
def meter() -> LeakMeter:
    return measure_leak(make_table(alternating(12), slices=4), repeats=2)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_the_leak_shows_both_splits_under_both_labellings(meter: LeakMeter, palette: Palette) -> None:
    true, shuffled = draw_leak(meter, palette).data
    assert list(true.x) == [meter.by_slice.value, meter.by_patient.value]
    assert list(shuffled.x) == [meter.by_slice_shuffled.value, meter.by_patient_shuffled.value]
    assert true.marker.color != shuffled.marker.color


def test_the_dose_has_a_line_and_a_band_for_each_labelling(meter: LeakMeter) -> None:
    lines = [trace for trace in draw_dose(meter, LIGHT).data if trace.name]
    assert [line.name for line in lines] == ["true labels", "labels shuffled by patient"]
    assert list(lines[1].y) == [point.shuffled.value for point in meter.dose]
    no_interval = replace(meter.dose[0].true, low=None, high=None)
    bare = replace(meter, dose=(replace(meter.dose[0], true=no_interval, shuffled=no_interval),))
    assert len(draw_dose(bare, LIGHT).data) == 2


def test_the_observed_value_stands_among_the_shuffles() -> None:
    figure = draw_null(np.array([0.4, 0.5]), 0.7, "p = 0.333", LIGHT, "AUROC")
    assert list(figure.data[0].x) == [0.4, 0.5]
    assert figure.layout.shapes[0].x0 == 0.7
    assert figure.layout.annotations[0].text == "p = 0.333"


def test_a_control_that_found_something_is_marked_by_shape_and_colour() -> None:
    figures = [Figure(value=0.9, low=0.8, high=0.95, n=40), Figure(value=0.5, low=None, high=None, n=40)]
    calm, alarmed = draw_intervals(["headers", "pictures"], figures, [True, False], LIGHT).data
    assert (list(alarmed.x), list(calm.x)) == ([0.9], [0.5])
    assert calm.marker.symbol != alarmed.marker.symbol


def test_both_arms_have_their_curves() -> None:
    records: dict[Arm, list[EpochRecord]] = {"slice_split": [make_record(1), make_record(2)], "patient_split": []}
    figure = draw_twins(
        records,
        12,
        LIGHT,
        field="accuracy",
        title="accuracy",
        chance=0.5,
        chance_name="chance",
    )
    assert [len(trace.x) for trace in figure.data] == [2, 2, 0, 0]
    assert "siblings" in figure.data[0].name


def test_an_auroc_has_its_interval_as_a_band() -> None:
    interval = {"val_patient_auroc_low": 0.4, "val_patient_auroc_high": 0.9}
    known = [make_record(epoch).model_copy(update=interval) for epoch in (1, 2)]
    records: dict[Arm, list[EpochRecord]] = {"slice_split": known, "patient_split": []}
    figure = draw_twins(records, 12, LIGHT, field="patient_auroc", title="AUROC", chance=0.5, chance_name="chance")
    band, *lines = figure.data
    assert "95% interval" in band.name
    assert list(band.y) == [0.4, 0.4, 0.9, 0.9]
    assert len(lines) == 4


def test_the_sketch_mixes_by_slice_and_keeps_one_patient_apart() -> None:
    rows = {by_slice: draw_split_sketch(by_slice, LIGHT).data[1].y for by_slice in (True, False)}
    assert len(set(rows[True])) == 5
    assert len(set(rows[False])) == 1
