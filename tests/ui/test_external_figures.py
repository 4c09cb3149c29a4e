"""The figures and the report of several cohorts hold what they were given."""

from __future__ import annotations

import pytest

from core.reports.external_page import list_forest, write_external_page
from core.reports.palette import DARK, LIGHT, Palette
from tests.ui.external_results import make_external
from ui.figures.external import draw_forest, draw_matrix


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_the_forest_has_every_cohort_the_mean_and_where_a_further_one_lies(palette: Palette) -> None:
    result = make_external()
    cohorts, mean, prediction = draw_forest(result, palette).data
    assert list(cohorts.x) == [0.6, 0.7, 0.8]
    assert cohorts.y[0] == "cohort-0, n = 20"
    assert list(mean.x) == [result["mean"]["value"]]
    assert list(prediction.x) == [result["prediction_interval"]["low"], result["prediction_interval"]["high"]]
    assert "unstable" in prediction.y[0]


def test_two_cohorts_have_no_prediction_interval() -> None:
    assert [row["kind"] for row in list_forest(make_external(2))] == ["cohort", "cohort", "mean"]
    assert len(draw_forest(make_external(2), LIGHT).data) == 2


def test_the_matrix_marks_own_test_patients() -> None:
    (heat,) = draw_matrix(make_external(2, left_out=True)["matrix"], LIGHT).data
    assert list(heat.y) == ["all others", "cohort-0", "cohort-1"]
    assert heat.text[1][0].startswith("0.700*")
    assert heat.text[0][0] == "0.700<br>0.500 to 0.900"


def test_the_report_says_what_the_figures_rest_on_and_escapes_names() -> None:
    result = make_external(left_out=True)
    result["cohorts"][0]["name"] = "<b>north</b>"
    page = write_external_page("mine", result)
    assert "<b>north</b>" not in page
    assert "&lt;b&gt;north" in page
    for text in (
        "Paule and Mandel", "Nagashima", "never seen them: T2w", "UIDs could not be compared",
        "tiny (3 persons)", "They share patients", "none: the classes are separated", "own test patients", "Synthetic",
    ):  # fmt: skip
        assert text in page, text
    assert "They share patients" not in write_external_page("mine", make_external())
