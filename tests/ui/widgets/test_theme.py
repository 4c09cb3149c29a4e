"""The palettes are readable, and one pair of colours means the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.reports.palette import DARK, LIGHT, Palette, class_colour, new_figure, run_style
from ui.widgets.theme import without_links


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_lines_and_text_stand_out_from_the_page(palette: Palette) -> None:
    lines = [palette.methylated, palette.unmethylated, palette.train, palette.validation]
    lines += [palette.warning, palette.error, *palette.runs]
    assert all(contrast(colour, palette.surface) >= 3 for colour in [*lines, *palette.sequences.values()])
    assert contrast(palette.text, palette.surface) >= 7


def test_the_positive_class_has_its_colour_whatever_its_index() -> None:
    assert class_colour(LIGHT, 1, 1) == class_colour(LIGHT, 0, 0) == LIGHT.methylated
    assert class_colour(LIGHT, 0, 1) == class_colour(LIGHT, 1, 0) == LIGHT.unmethylated


def test_classes_beyond_two_differ() -> None:
    colours = [class_colour(LIGHT, index, 1, 4) for index in range(4)]
    assert len(set(colours)) == 4


def test_a_figure_has_its_axes_named() -> None:
    figure = new_figure(LIGHT, x="position (mm)", y="probability")
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("position (mm)", "probability")


def test_each_of_many_runs_is_drawn_in_its_own_way() -> None:
    styles = [run_style(LIGHT, index) for index in range(12)]
    assert len(set(styles)) == 12
    assert styles[0] == (LIGHT.runs[0], "solid")


def test_a_name_in_a_chart_is_no_link() -> None:
    evil = "<a href='https://evil.example'>x</A>"
    content = {
        "data": [{"x": [evil, 1], "text": np.array([evil, "<b>ours</b>"], object)}],
        "layout": {"title": (evil,)},
    }
    text = str(without_links(content)).lower()
    assert "<a" not in text
    assert "</a" not in text
    assert text.count("&lt;a href") == 3
    assert "<b>ours</b>" in text


def test_a_figure_of_shapes_alone_is_drawn() -> None:
    def page() -> None:
        import plotly.graph_objects as go

        from ui.widgets.theme import draw

        draw(go.Figure().add_shape(type="rect", x0=0, x1=1, y0=0, y1=1), key="shapes", alt="a rectangle")

    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.exception


def test_a_figure_is_said_in_words_after_its_title() -> None:
    def page() -> None:
        import plotly.graph_objects as go

        from ui.widgets.theme import draw

        draw(go.Figure(go.Bar(x=["a", "b"], y=[3, 4])), key="bars", alt="counts")
        draw(go.Figure(), key="none", alt="losses")

    app = AppTest.from_function(page, default_timeout=60).run()
    assert [chart.proto.alt for chart in app.get("plotly_chart")] == ["counts: a: 3; b: 4", "losses: nothing is drawn"]
    assert '"filename": "counts"' in app.get("plotly_chart")[0].proto.config
