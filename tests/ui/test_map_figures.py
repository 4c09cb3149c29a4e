"""The images of a test of maps say what was measured."""

from __future__ import annotations

import pytest

from core.evaluation.figure import Figure
from core.explain.validation.saliency_result import MapScore, MapTest
from core.reports.palette import DARK, LIGHT, Palette
from ui.figures.maps import draw_cascade, draw_hits


def _score(method: str, hits: float) -> MapScore:
    figure = Figure(value=hits, low=hits - 0.1, high=hits + 0.1, n=64)
    return MapScore(
        method=method,
        layer="layer4.1",
        hits=figure,
        inside=figure,
        random_hits=Figure(value=0.0, low=0.0, high=0.2, n=64),
        random_inside=figure,
        near_hits=figure,
        random_near_hits=figure,
        changed_hits=figure,
        changed_inside=figure,
        random_changed_hits=figure,
        road=Figure(value=0.4, low=0.1, high=0.7, n=16),
        random_road=None,
        similarity=tuple(Figure(value=value, low=value - 0.1, high=value + 0.1, n=16) for value in (0.9, 0.3)),
    )


FOUND = MapTest(
    checkpoint="tiny",
    studies=8,
    images=64,
    volumes=False,
    tolerance_px=15.0,
    chance=Figure(value=0.07, low=0.06, high=0.08, n=64),
    near_chance=Figure(value=0.15, low=0.12, high=0.18, n=64),
    changed_chance=None,
    moved=None,
    stages=("fc", "layer4"),
    scores=(_score("gradcam", 0.2), _score("layercam", 0.45)),
    examples=(),
)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_each_method_stands_with_its_interval_beside_random_weights(palette: Palette) -> None:
    figure = draw_hits(FOUND, palette)
    learnt, random = figure.data
    assert list(learnt.x) == [0.2, 0.45]
    assert list(learnt.error_x.array) == pytest.approx([0.1, 0.1])
    assert list(learnt.error_x.arrayminus) == pytest.approx([0.1, 0.1])
    assert list(random.x) == [0.0, 0.0]
    assert list(random.error_x.arrayminus) == [0.0, 0.0]
    assert figure.layout.yaxis.ticktext == ("Grad-CAM, layer4.1", "LayerCAM, layer4.1")
    assert "n = 64 images" in learnt.text[0]
    assert figure.layout.shapes[0].x0 == 0.07


def test_the_cascade_has_a_line_a_method() -> None:
    figure = draw_cascade(FOUND, LIGHT)
    assert [list(line.x) for line in figure.data] == [["fc", "layer4"]] * 2
    assert [list(line.y) for line in figure.data] == [[0.9, 0.3]] * 2
    assert [line.name for line in figure.data] == ["others, layer4.1", "LayerCAM, layer4.1"]
    assert figure.data[1].line.width > figure.data[0].line.width
    assert list(figure.data[1].error_y.array) == pytest.approx([0.1, 0.1])
    assert figure.data[0].text[1] == "0.300 (0.200 to 0.400), n = 16 images"


def test_the_best_has_the_most_hits() -> None:
    assert FOUND.best.method == "layercam"
    told = FOUND.to_dict()
    assert told["best"] == {"method": "layercam", "layer": "layer4.1"}
    assert told["near_chance"] == FOUND.near_chance.to_dict() if FOUND.near_chance else False
    assert told["moved"] is None
    scores = told["scores"]
    assert isinstance(scores, list)
    assert scores[0]["road"]["value"] == 0.4
    assert scores[0]["random_road"] is None
