"""What is printed: strict JSON, safe text, columns, a bar that behaves on a terminal and off it."""

from __future__ import annotations

import io
import json

import pytest

from core.cli.output import TerminalProgress, clock_text, plain, table, to_json


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_is_strict() -> None:
    assert json.loads(to_json({"a": [1, None, "é\udcff"]}))["a"][:2] == [1, None]
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"a": float("nan")})


def test_text_from_headers_cannot_steer_the_terminal() -> None:
    assert plain("T1\x1b[2J\nw\u202e\udcff é") == "T1?[2J?w?? é"


def test_table_sets_numbers_to_the_right() -> None:
    assert table([("a", 1, 0.5), ("bb", 20, None)], ("name", "n", "value")) == [
        "name   n  value",
        "a      1  0.500",
        "bb    20      -",
    ]
    assert table([]) == []


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3725, "1:02:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_bar_on_a_terminal_has_rate_and_time_left() -> None:
    now = iter([0.0, 10.0, 10.01, 20.0])
    stream = Terminal()
    progress = TerminalProgress("preparing", stream, lambda: next(now))
    progress(0, 40)
    progress(20, 40, "FLAIR\x1b")
    progress(21, 40)
    progress(40, 40)
    first, second, last = stream.getvalue().removeprefix("\r\x1b[K").split("\r\x1b[K")
    assert first == "preparing  [........................]  0/40"
    assert second == "preparing  [############............]  20/40  2.0/s  0:10 left  FLAIR?"
    assert last.endswith("40/40  2.0/s  in 0:20\n")


def test_what_was_done_before_has_no_rate_and_each_stage_its_own() -> None:
    now = iter([0.0, 100.0, 104.0])
    stream = Terminal()
    progress = TerminalProgress("evaluating", stream, lambda: next(now))
    progress(40, 40, "from the cache")
    progress(2, 10)
    progress(10, 10)
    assert [line.split("]  ")[1] for line in stream.getvalue().split("\r\x1b[K")[1:]] == [
        "40/40  from the cache\n",
        "2/10",
        "10/10  2.0/s  in 0:04\n",
    ]


def write_off_a_terminal(seconds: int) -> list[str]:
    now = (step / 10 for step in range(1, 10 * seconds + 1))
    stream = io.StringIO()
    progress = TerminalProgress("reading", stream, lambda: next(now))
    for done in range(1, 10 * seconds + 1):
        progress(done, 10 * seconds)
    assert "\r" not in stream.getvalue()
    return stream.getvalue().splitlines()


def test_lines_off_a_terminal_are_sparse() -> None:
    lines = write_off_a_terminal(34)
    assert [line.split("  ")[1] for line in lines] == ["101/340", "201/340", "301/340", "340/340"]


def test_what_is_soon_done_is_silent_off_a_terminal() -> None:
    assert not write_off_a_terminal(9)
