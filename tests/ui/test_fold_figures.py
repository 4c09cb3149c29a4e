"""The images of a cross-validation hold what they were given."""

from __future__ import annotations

import pytest

from core.reports.palette import DARK, LIGHT, Palette
from tests.ui.fold_results import make_result
from ui.figures.folds import draw_candidates, draw_folds


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_the_forest_has_every_fold_each_seed_and_the_mean(palette: Palette) -> None:
    result = make_result(seeds=2)
    folds, seeds, whole = draw_folds(result, palette).data
    assert list(folds.x) == [fold["auroc"]["value"] for fold in result["folds"]]
    assert list(seeds.x) == [0.68, 0.72]
    assert list(whole.x) == [0.7]
    assert whole.error_x.array[0] == pytest.approx(0.16)
    assert folds.text[1] == "0.700 (no interval), n = 10"
    assert folds.error_x.array[1] == 0
    assert "mean within folds (n = 30)" in whole.y[0]


def test_one_seed_has_no_means_of_seeds() -> None:
    figure = draw_folds(make_result(), LIGHT)
    assert len(figure.data) == 2
    assert figure.data[0].y[0] == "fold 1 (n = 10)"


def test_the_chosen_candidate_is_the_larger_mark() -> None:
    result = make_result(nested=True)
    first, second = draw_candidates(result, ["a", "b"], LIGHT).data
    assert list(first.y) == [0.6, 0.6, 0.6]
    assert [text.endswith(", chosen") for text in first.text] == [False, True, False]
    assert second.text[0] == "0.700 (0.600 to 0.800), n = 8, chosen"
    assert list(first.error_y.array) == pytest.approx([0.1] * 3)
    assert second.marker.size[0] > second.marker.size[1]


def test_a_result_of_an_older_version_is_drawn_without_intervals() -> None:
    result = make_result(nested=True)
    for fold in result["folds"]:
        del fold["inner"]
    first, _ = draw_candidates(result, ["a", "b"], LIGHT).data
    assert list(first.y) == [0.6, 0.6, 0.6]
    assert list(first.error_y.array) == [0, 0, 0]
    assert first.text[0] == "0.600 (no interval), n = not kept, not chosen"
