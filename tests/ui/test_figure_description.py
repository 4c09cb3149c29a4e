"""A chart is said in words from its own data."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from core.evaluation.curves import roc_curve
from core.mri import Plane
from core.reports.palette import LIGHT, new_figure
from tests.ui.external_results import make_external
from tests.ui.stacks import make_stack
from tests.ui.test_figures import RECORDS
from ui.figures.description import MOST_CHARACTERS, MOST_TRACES, describe_figure
from ui.figures.evaluation import draw_confusion, draw_roc
from ui.figures.external import draw_forest
from ui.figures.prediction import draw_class_probabilities, draw_probability, draw_slice_probabilities
from ui.figures.training import draw_loss


def test_a_learning_curve_says_its_ends_and_what_lies_beyond_them() -> None:
    course = [0.71, 0.6, 0.5, 0.52]
    records = [
        RECORDS[0].model_copy(update={"epoch": epoch, "train_loss": 1 / epoch, "val_loss": loss, "best": epoch == 3})
        for epoch, loss in enumerate(course, start=1)
    ]
    assert describe_figure(draw_loss(records, 4, LIGHT)) == (
        "cross-entropy loss against epoch. 95% interval. training: 1 to 0.25 in 4 points. "
        "validation: 0.71 to 0.52 in 4 points, lowest 0.5 at epoch 3. best: 3"
    )


@pytest.mark.parametrize("figure", [go.Figure(), new_figure(LIGHT, x="epoch", y="loss")])
def test_an_empty_figure_says_so(figure: go.Figure) -> None:
    assert describe_figure(figure) == "nothing is drawn"


def test_the_main_charts_say_their_values() -> None:
    roc = draw_roc(roc_curve([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.5]), "AUROC 0.75", LIGHT, positive="methylated")
    assert describe_figure(roc).startswith("AUROC 0.75. sensitivity for methylated against 1 − specificity. 0 to 1")
    slices = draw_slice_probabilities(
        [make_stack(probabilities=dict(enumerate((0.2, 0.9, 0.1, 0.3))))], Plane.AXIAL, 0.5, "methylated", LIGHT
    )
    assert "FLAIR: 0.2 to 0.3 in 4 points, lowest 0.1 at 10, highest 0.9 at 5. threshold" in describe_figure(slices)
    forest = describe_figure(draw_forest(make_external(2), LIGHT))
    assert "cohort-0, n = 20: 0.600 (0.400 to 0.800)" in forest
    assert "mean of 2: 0.646" in forest
    confusion = describe_figure(draw_confusion([[3, 1], [0, 4]], ["no", "yes"], "n = 8", LIGHT))
    assert confusion == "n = 8. true against predicted. no, no: 3 75%; no, yes: 1 25%; yes, no: 0 0%; yes, yes: 4 100%"
    answer = describe_figure(draw_probability(0.6, 0.45, ("unmethylated", "methylated"), LIGHT))
    assert answer == "0.6. threshold 0.45; 0 unmethylated; methylated 1"
    classes = draw_class_probabilities(["a", "<b>b</b> &amp; c"], [0.2, 0.8], ["#000000"] * 2, LIGHT)
    assert describe_figure(classes) == "probability. a: 0.2; b & c: 0.8"


def test_missing_values_and_many_traces_are_left_out() -> None:
    figure = new_figure(LIGHT, y="loss").add_scatter(x=[1, 2], y=[None, 0.5], name="0")
    for number in range(1, 12):
        figure.add_scatter(x=[1], y=[number], name="x" * 200 if number < MOST_TRACES else str(number))
    words = describe_figure(figure)
    assert words.startswith("loss. 0: 0.5 at 2. ")
    assert len(words) == MOST_CHARACTERS
    few = go.Figure([trace for trace in figure.data if len(trace.name) < 9] + [go.Box(y=[1, 2, 4], name="box")])
    assert describe_figure(few).endswith(". 2 more")
    assert describe_figure(go.Figure(go.Box(y=[1, 2, 4], name="box"))) == "box: n = 3, 1 to 4, median 2"
