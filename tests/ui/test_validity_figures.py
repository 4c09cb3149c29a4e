"""What the images of the Validity page hold, in both themes."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.conformal import ideal_set_size
from core.evaluation.curves import reliability_bins
from core.evaluation.figure import Figure
from core.evaluation.simulated import best_of_noise, repeat_evaluation
from core.evaluation.specification import Cell, order_cells
from core.evaluation.thresholds import decision_curve, evaluate_thresholds
from core.reports.palette import DARK, LIGHT, Palette
from ui.figures.reliability import draw_decision, draw_reliability, draw_set_size, draw_threshold_shares
from ui.figures.specification import draw_specification
from ui.figures.validity import draw_dial, draw_noise_course, draw_optimism, draw_pairs, draw_power, draw_studies

GENERATOR = np.random.default_rng(0)
POSITIVE = np.arange(80) < 42
PROBABILITY = np.clip(GENERATOR.normal(0.4 + 0.2 * POSITIVE, 0.15), 0.01, 0.99)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_studies_that_miss_the_truth_have_their_own_colour(palette: Palette) -> None:
    studies = np.array([[0.6, 0.5, 0.7], [0.8, 0.72, 0.9], [0.5, 0.4, 0.58]])
    holds, misses = draw_studies(studies, 0.62, palette).data
    assert holds.x.tolist() == [2]
    assert misses.x.tolist() == [1, 3]
    assert misses.marker.color == palette.error
    assert len(draw_studies(repeat_evaluation(0.6, 40, 20, GENERATOR), 0.6, palette).data) in (1, 2)


def test_power_marks_the_visitors_own_number_where_it_is_on_a_logarithmic_axis() -> None:
    grid = np.geomspace(10, 2000, 20)
    figure = draw_power(grid, {"a": np.linspace(0, 1, 20)}, {"yours": 117}, LIGHT)
    (own,) = [shape for shape in figure.layout.shapes if shape.x0 == 117]
    assert own.x1 == 117
    (note,) = [note for note in figure.layout.annotations if "yours" in note.text]
    assert note.x == pytest.approx(np.log10(117))


def test_the_dial_draws_the_best_possible_and_each_run() -> None:
    figure = draw_dial([("a", 2.0, 0.8, 0.7, 0.9), ("b", 1.0, 0.6, None, None)], LIGHT)
    assert figure.data[0].y[40] == pytest.approx(0.9214, abs=1e-3)  # signal 2
    assert figure.data[1].error_y.array[0] == pytest.approx(0.1)
    assert list(figure.data[2].error_y.array) == [0]


def test_the_best_epoch_of_noise_is_marked() -> None:
    found = best_of_noise(20, 12, 50, GENERATOR)
    assert draw_noise_course(found.learning_curve, LIGHT).data[1].y[0] == found.learning_curve.max()
    assert f"{found.chosen.mean():.2f}" in draw_optimism(found.chosen, found.untouched, LIGHT).data[1].name


def test_pairs_have_their_mean_on_top() -> None:
    high, middle, low = (Figure(value=value, low=0.5, high=0.9, n=30) for value in (0.8, 0.7, 0.6))
    figure = draw_pairs([("a", high, low), ("b", middle, low)], LIGHT, ("val", "test"))
    assert list(figure.data[-1].y) == pytest.approx([0.75, 0.6])
    assert figure.data[-1].name == "mean of 2"
    assert figure.data[0].text[0] == "0.800 (0.500 to 0.900), n = 30 patients"
    assert len(figure.data) == 3


def test_reliability_and_sets_draw_what_they_were_given() -> None:
    bins = reliability_bins(POSITIVE, PROBABILITY, 6)
    figure = draw_reliability(bins, bins, ("before", "after"), LIGHT, positive="methylated")
    assert [trace.name for trace in figure.data] == [None, "before", "after"]
    assert figure.data[1].error_y.array == pytest.approx(bins.high - bins.observed)
    sets = draw_set_size(0.9, (0.7, 1.7), LIGHT)
    assert sets.data[0].y[0] == pytest.approx(ideal_set_size(0.5, 0.9))
    assert (sets.data[1].x[0], sets.data[1].y[0]) == (0.7, 1.7)


def test_thresholds_and_decision_curve_draw_both_alternatives() -> None:
    points = evaluate_thresholds(POSITIVE, PROBABILITY, np.linspace(0.1, 0.9, 9))
    shares, values = draw_threshold_shares(points, 0.5, DARK)
    assert [trace.name for trace in shares.data if trace.name] == ["sensitivity", "specificity"]
    assert len(values.data) == 4
    names = [trace.name for trace in draw_decision(decision_curve(POSITIVE, PROBABILITY), 0.5, DARK).data if trace.name]
    assert names == ["the model", "call everybody positive", "call nobody positive"]


def test_the_matrix_below_the_curve_has_one_mark_for_each_setting_of_each_cell() -> None:
    cells = [
        Cell(
            choices={"seed": str(seed), "sequences": name},
            figure=Figure(value=0.4 + 0.1 * seed + 0.05 * (name == "FLAIR"), low=0.3, high=0.8, n=10),
            run="",
        )
        for seed in (0, 1, 2)
        for name in ("FLAIR", "T1w")
    ]
    figure = draw_specification(order_cells(cells), LIGHT)
    assert list(figure.data[0].y) == sorted(figure.data[0].y)
    marks = [trace for trace in figure.data[1:] if trace.marker.color == LIGHT.text]
    assert sum(len(trace.x) for trace in marks) == 2 * len(cells)
    assert next(trace.name for trace in figure.data if trace.showlegend) == "chance 0.5"
    assert list(figure.layout.yaxis2.ticktext) == [
        "seed: 0", "seed: 1", "seed: 2", "sequences: FLAIR", "sequences: T1w",
    ]  # fmt: skip
