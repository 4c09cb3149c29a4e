"""Foreign text loses its meaning as markdown; numbers carry their interval and n."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.figure import Figure
from ui.widgets.text import duration_text, figure_text, number_text, plain, rate_text, value_text

SPECIAL = set("\\`*_{}[]()<>#+-.!|~$:&^=@")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "**bold**",
        "[a](http://x)",
        "![x](http://x/y.png)",
        ":red[no]",
        ":material/home:",
        "$x$",
        "`c`",
    ],
)
def test_plain_takes_markdown_its_meaning(text: str) -> None:
    clean = plain(text)
    for place, character in enumerate(clean):
        if character in SPECIAL and character != "\\":
            assert clean[place - 1] == "\\"


@given(st.text())
def test_plain_has_one_line_and_no_naked_special(text: str) -> None:
    clean = plain(text)
    assert not any(ord(character) < 32 for character in clean)
    unescaped = clean.replace("\\\\", "")
    for place, character in enumerate(unescaped):
        if character in SPECIAL - {"\\"}:
            assert place
            assert unescaped[place - 1] == "\\"


def test_plain_cuts_what_is_long() -> None:
    assert plain("a" * 50, limit=10) == "a" * 9 + "…"


def test_plain_removes_direction_overrides() -> None:
    assert "\u202e" not in plain("a\u202eb")


def test_a_figure_has_its_interval_and_n() -> None:
    figure = Figure(value=0.8123, low=0.7, high=0.9, n=40)
    assert figure_text(figure) == "0.812 [0.700 to 0.900], n = 40 patients"


def test_a_figure_that_cannot_be_had_gives_its_reason() -> None:
    assert "one class only" in figure_text(Figure(value=None, low=None, high=None, n=3, reason="one class only"))


def test_a_figure_without_interval_says_so() -> None:
    assert "no interval" in figure_text(Figure(value=0.5, low=None, high=None, n=2))


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "–"), (0, "0 s"), (59.4, "59 s"), (65, "1 min 05 s"), (3600 * 2 + 600, "2 h 10 min")]
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration_text(seconds) == words


def test_dashes_for_what_is_unknown() -> None:
    assert number_text(None) == number_text(float("nan")) == rate_text(None, "images") == "–"


def test_a_value_stands_with_its_interval_where_there_is_one() -> None:
    assert value_text(Figure(value=0.94, low=0.891, high=0.969, n=9), 2) == "0.94 [0.89 to 0.97]"
    assert value_text(Figure(value=0.94, low=None, high=None, n=9)) == "0.940"
    assert value_text(None) == "–"
