"""Foreign text loses its meaning as markdown; numbers carry their interval and n."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.widgets.text import duration_text, plain, rate_text, rough_duration_text

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


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "–"), (0, "0 s"), (59.4, "59 s"), (65, "1 min 05 s"), (3600 * 2 + 600, "2 h 10 min")]
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration_text(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(2, "1 minute"), (99.4 * 60, "99 minutes"), (99.6 * 60, "2 hours"), (5.2 * 3600, "5 hours")]
)
def test_rough_durations(seconds: float, words: str) -> None:
    assert rough_duration_text(seconds) == words


def test_dashes_for_what_is_unknown() -> None:
    assert rate_text(None, "images") == "–"


@pytest.mark.parametrize(
    "text", ["see http://evil.example/a", "www.evil.example", "a@evil.example", "HTTPS://EVIL.example"]
)
def test_a_bare_address_is_no_link(text: str) -> None:
    """As GitHub's markdown finds them, in text whose escapes are gone already."""
    links = re.compile(r"(https?://|www(?=\.))[-.\w]+|[-.\w+]+@[-\w]+(?:\.[-\w]+)+", re.IGNORECASE)
    assert links.search(text)
    assert not links.search(plain(text).replace("\\", ""))
