"""Charts show what they are given, with named axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from core.data.study import Cohort, Series, Study
from core.data.summary import BlankCount
from core.evaluation.curves import roc_curve
from core.mri import MRSequence, Plane
from core.reports.palette import DARK, LIGHT
from core.runs.records import EpochRecord
from tests.ui.stacks import make_stack
from ui.figures import cohort as cohort_figures
from ui.figures.evaluation import draw_confusion, draw_precision_recall, draw_roc
from ui.figures.prediction import (
    draw_class_probabilities,
    draw_map_strengths,
    draw_probability,
    draw_slice_probabilities,
)
from ui.figures.predictions import draw_moving_predictions
from ui.figures.training import CurveLook, draw_accuracy, draw_auroc, draw_loss, draw_optimiser, smooth

RECORDS = [
    EpochRecord(
        epoch=epoch,
        learning_rate=0.001,
        train_loss=1 / epoch,
        train_accuracy=0.5,
        train_patient_auroc=0.6,
        val_loss=0.7,
        val_accuracy=0.55,
        val_patient_auroc=None if epoch == 3 else 0.7,
        val_patient_auroc_low=None if epoch == 3 else 0.5,
        val_patient_auroc_high=None if epoch == 3 else 0.9,
        val_patient_accuracy=0.5,
        seconds=1,
        images_per_second=10,
        best=epoch in (1, 2),
        val_loss_low=None if epoch == 3 else 0.6,
        val_loss_high=None if epoch == 3 else 0.8,
        val_accuracy_low=None if epoch == 3 else 0.5,
        val_accuracy_high=None if epoch == 3 else 0.6,
    )
    for epoch in (1, 2, 3)
]


def make_series(study: str, sequence: MRSequence, plane: Plane = Plane.AXIAL, slices: int = 3) -> Series:
    return Series(
        study_id=study,
        sequence=sequence,
        series_uid=f"{study}.{sequence}",
        plane=plane,
        files=tuple(Path(f"{n}.dcm") for n in range(slices)),
        spacing_mm=(5.0, 1.0, 0.5),
    )


@pytest.fixture
def cohort() -> Cohort:
    four = [sequence for sequence in MRSequence if sequence is not MRSequence.UNKNOWN]
    studies = [
        Study(study_id="1", person="1", label=1, series=tuple(make_series("1", s) for s in four)),
        Study(study_id="2", person="2", label=0, series=tuple(make_series("2", s) for s in four)),
        Study(study_id="3", person="3", label=0, series=(make_series("3", MRSequence.FLAIR, Plane.CORONAL, 9),)),
        Study(study_id="4", person="4", label=None, series=()),
    ]
    return Cohort(root=Path(), layout="rsna", studies=tuple(studies))


def titles(figure: go.Figure) -> tuple[str, str]:
    return figure.layout.xaxis.title.text, figure.layout.yaxis.title.text


def test_labels_are_counted_in_their_own_colours(cohort: Cohort) -> None:
    bar = cohort_figures.draw_labels(cohort, LIGHT).data[0]
    assert list(bar.x) == ["unmethylated", "methylated", "no label"]
    assert list(bar.y) == [2, 1, 1]
    assert list(bar.marker.color) == [LIGHT.unmethylated, LIGHT.methylated, LIGHT.muted]


def test_the_flow_of_participants_is_drawn_from_found_to_used() -> None:
    flow = {
        "found": {"studies": 9, "persons": 8},
        "excluded": [{"reason": "MGMT status is 'unknown'", "studies": 2, "persons": 2}],
        "unlabelled": {"studies": 0, "persons": 0},
        "used": {"studies": 7, "persons": 6},
    }
    bar = cohort_figures.draw_flow(flow, LIGHT).data[0]
    assert list(bar.y) == ["found", "excluded: MGMT status is 'unknown'", "used"]
    assert list(bar.x) == [9, 2, 7]
    assert bar.text[2] == "studies 7, persons 6"


def test_presence_counts_each_combination(cohort: Cohort) -> None:
    bars, dots = cohort_figures.draw_presence(cohort, LIGHT).data
    assert list(bars.y) == [2, 1, 1]
    assert bars.customdata[1:] == ("FLAIR", "none")
    assert len(dots.x) == 3 * 4
    assert sum(colour == LIGHT.text for colour in dots.marker.color) == 4 + 1


def test_planes_spacings_and_slices(cohort: Cohort) -> None:
    planes = {trace.name: list(trace.y) for trace in cohort_figures.draw_planes(cohort, DARK).data}
    assert planes == {"axial": [2, 2, 2, 2], "coronal": [1, 0, 0, 0]}
    spacing = cohort_figures.draw_spacings(cohort, DARK)
    assert all("mm" in title for title in titles(spacing))
    assert (spacing.data[0].x[0], spacing.data[0].y[0]) == (1.0, 5.0)
    counts = [(series, len(series.files)) for series in cohort.series]
    assert list(cohort_figures.draw_slice_counts(counts, DARK).data[0].y) == [3, 3, 9]


def test_blank_slices_are_shares_of_their_series() -> None:
    counts = [
        BlankCount(study_id="1", sequence=MRSequence.FLAIR, series_uid="1", slices=4, blank=1),
        BlankCount(study_id="2", sequence=MRSequence.FLAIR, series_uid="2", slices=0, blank=0, fault="damaged"),
    ]
    assert list(cohort_figures.draw_blank_slices(counts, LIGHT).data[0].y) == [25.0]


def test_an_empty_cohort_can_be_drawn() -> None:
    empty = Cohort(root=Path(), layout="rsna", studies=())
    for name in ("draw_labels", "draw_presence", "draw_planes", "draw_spacings"):
        assert isinstance(getattr(cohort_figures, name)(empty, LIGHT), go.Figure)
    assert not cohort_figures.draw_slice_counts([], LIGHT).data


@pytest.mark.parametrize("draw", [draw_loss, draw_accuracy, draw_auroc, draw_optimiser])
def test_the_last_best_epoch_is_marked(draw) -> None:  # type: ignore[no-untyped-def]
    figure = draw(RECORDS, 10, LIGHT)
    assert any(shape.x0 == 2 == shape.x1 for shape in figure.layout.shapes)
    assert figure.layout.xaxis.title.text == "epoch"
    assert tuple(figure.layout.xaxis.range) == (0.5, 10.5)


@pytest.mark.parametrize(
    ("draw", "low", "high"), [(draw_auroc, 0.5, 0.9), (draw_loss, 0.6, 0.8), (draw_accuracy, 0.5, 0.6)]
)
def test_the_interval_is_a_band_where_there_is_one(draw, low: float, high: float) -> None:  # type: ignore[no-untyped-def]
    band = draw(RECORDS, 3, LIGHT).data[0]
    assert band.fill == "toself"
    assert list(band.x) == [1, 2, 2, 1]
    assert list(band.y) == [low, low, high, high]


def test_curves_are_smoothed_with_the_values_behind_them_and_hovered_in_step() -> None:
    assert smooth([4.0, 4.0, None, 4.0], 0.9) == pytest.approx([4.0, 4.0, None, 4.0])
    assert smooth([0.0, 1.0], 0.5) == pytest.approx([0.0, 2 / 3])  # (0.5 * 0 * 0.5 + 0.5 * 1) / 0.75
    figure = draw_loss(RECORDS, 3, LIGHT, CurveLook(smoothing=0.5))
    faint, line = (
        trace for trace in figure.data if list(trace.x) == [1, 2, 3] and trace.line.color == LIGHT.validation
    )
    assert list(faint.y) == [record.val_loss for record in RECORDS]
    assert list(line.y) == pytest.approx(smooth(list(faint.y), 0.5))
    assert figure.layout.hovermode == "x unified"


@pytest.mark.parametrize("draw", [draw_loss, draw_optimiser])
def test_a_logarithmic_axis_is_that_of_what_is_drawn_not_of_the_rate(draw) -> None:  # type: ignore[no-untyped-def]
    figure = draw(RECORDS, 3, LIGHT, CurveLook(log=True))
    assert figure.layout.yaxis.type == "log"
    assert draw is draw_loss or figure.layout.yaxis2.type == "linear"
    assert draw(RECORDS, 3, LIGHT).layout.yaxis.rangemode == "tozero"


def test_a_line_without_a_word_has_none() -> None:
    assert {note.text for note in draw_auroc(RECORDS, 3, LIGHT).layout.annotations} == {"best: 2"}


def test_guessing_stands_beside_the_accuracy() -> None:
    assert any(shape.y0 == 0.53 for shape in draw_accuracy(RECORDS, 3, LIGHT, 0.53).layout.shapes)


@pytest.mark.parametrize(("probability", "colour"), [(0.6, LIGHT.methylated), (0.3, LIGHT.unmethylated)])
def test_a_probability_has_its_side_of_the_threshold(probability: float, colour: str) -> None:
    figure = draw_probability(probability, 0.45, ("unmethylated", "methylated"), LIGHT)
    assert figure.data[1].x == (probability,)
    assert figure.data[1].marker.color == colour
    assert figure.layout.shapes[0].x0 == 0.45


def test_slices_stand_at_their_millimetres() -> None:
    stacks = [make_stack(probabilities={1: 0.2, 4: 0.8}), make_stack(plane=Plane.CORONAL, probabilities={0: 1.0})]
    figure = draw_slice_probabilities(stacks, Plane.AXIAL, 0.5, "methylated", LIGHT, here=20.0)
    assert len(figure.data) == 1
    assert (list(figure.data[0].x), list(figure.data[0].y)) == ([5.0, 20.0], [0.2, 0.8])
    assert "mm" in titles(figure)[0]
    assert any(shape.x0 == 20.0 for shape in figure.layout.shapes)


def test_map_strengths_belong_to_their_series() -> None:
    stacks = [make_stack(), make_stack(sequence=MRSequence.T2W)]
    figure = draw_map_strengths(stacks, Plane.AXIAL, {(1, 2): 0.3}, LIGHT)
    assert [trace.name for trace in figure.data] == ["T2w"]
    assert figure.data[0].y == (0.3,)


def test_several_classes_have_a_bar_each() -> None:
    figure = draw_class_probabilities(["a", "b", "c"], [0.2, 0.3, 0.5], ["#000000"] * 3, LIGHT)
    assert list(figure.data[0].y) == ["a", "b", "c"]


def test_curves_and_confusion() -> None:
    curve = roc_curve([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.5])
    roc = draw_roc(curve, "AUROC 0.75", LIGHT, positive="methylated")
    assert np.allclose(roc.data[1].y, curve.y)
    assert roc.layout.title.text == "AUROC 0.75"
    recall = draw_precision_recall(curve, "AUPRC", LIGHT, positive="methylated", prevalence=0.4)
    assert any(shape.y0 == 0.4 for shape in recall.layout.shapes)
    confusion = draw_confusion([[3, 1], [0, 4]], ["no", "yes"], "n = 8", LIGHT)
    assert np.allclose(confusion.data[0].z, [[0.75, 0.25], [0, 1]])
    assert any("<b>4</b>" in annotation.text for annotation in confusion.layout.annotations)


def test_the_predictions_move_from_epoch_to_epoch_and_open_at_the_latest() -> None:
    moving = [
        record.model_copy(
            update={
                "train_histogram": ((3, 1), (0, 4)),
                "val_histogram": ((record.epoch, 1), (0, 0)),
            }
        )
        for record in RECORDS
    ]
    figure = draw_moving_predictions([RECORDS[0], *moving[1:]], ("unmethylated", "methylated"), 1, LIGHT)
    assert figure is not None
    assert [frame.name for frame in figure.frames] == ["2", "3"]
    assert figure.layout.sliders[0].active == 1
    training, _, validation, empty = figure.data
    assert (training.marker.color, list(training.y)) == (LIGHT.unmethylated, [0.75, 0.25])
    assert (list(validation.y), list(validation.customdata), list(empty.y)) == ([0.75, 0.25], [3, 1], [0, 0])
    assert list(figure.frames[0].data[2].customdata) == [2, 1]
    assert figure.layout.xaxis2.title.text == "probability of methylated"
    assert draw_moving_predictions(RECORDS, ("unmethylated", "methylated"), 1, LIGHT) is None
    long = [moving[1].model_copy(update={"epoch": epoch}) for epoch in range(1, 301)]
    figure = draw_moving_predictions(long, (), 1, LIGHT)
    assert figure is not None
    frames = [int(frame.name) for frame in figure.frames]
    assert (frames[0], frames[-1], len(frames)) == (1, 300, 48)
    assert frames == sorted(set(frames))


def test_the_gradient_is_drawn_to_its_largest_step_beside_the_learning_rate() -> None:
    known = [
        record.model_copy(update={"gradient_norm": 1.0, "gradient_norm_max": 3.0}) if record.epoch > 1 else record
        for record in RECORDS
    ]
    band, mean, rate = draw_optimiser(known, 3, LIGHT).data
    assert list(band.y) == [1, 1, 3, 3]
    assert list(mean.y) == [None, 1, 1]
    assert (rate.yaxis, list(rate.y)) == ("y2", [0.001] * 3)
