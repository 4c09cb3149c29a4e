"""A figure is written in one way, with its interval and its n, and in one place."""

from __future__ import annotations

import ast
import re

import pytest

from core.evaluation.figure import Figure
from core.figure_text import figure_text, interval_text, number_text, p_text, value_text
from core.settings import PROJECT_ROOT

FIGURE = Figure(value=0.8124, low=0.7, high=0.9, n=40)
BETWEEN = re.compile(r"\s*(to|,|–|-)\s*")


def test_a_figure_has_its_interval_and_n() -> None:
    assert figure_text(FIGURE) == "0.812 (0.700 to 0.900), n = 40"
    assert figure_text(FIGURE, "patients") == "0.812 (0.700 to 0.900), n = 40 patients"
    assert figure_text(FIGURE.to_dict(), "slices") == "0.812 (0.700 to 0.900), n = 40 slices"
    assert value_text(FIGURE) == "0.812 (0.700 to 0.900)"


def test_a_difference_has_a_sign_and_a_share_can_be_a_percentage() -> None:
    assert value_text(FIGURE, signed=True) == "+0.812 (+0.700 to +0.900)"
    assert value_text(FIGURE, percent=True) == "81.2% (70.0% to 90.0%)"


@pytest.mark.parametrize(
    ("reason", "said"), [("too few", ": too few"), ("no interval: too few", ": too few"), ("", "")]
)
def test_what_is_missing_says_why(reason: str, said: str) -> None:
    nothing = Figure(value=None, low=None, high=None, n=3, reason=reason)
    assert figure_text(nothing) == f"none{said}, n = 3"
    alone = Figure(value=0.5, low=None, high=None, n=2, reason=reason)
    assert figure_text(alone) == f"0.500 (no interval{said}), n = 2"


def test_where_there_is_no_figure_stands_a_dash() -> None:
    assert figure_text(None) == value_text(None) == number_text(None) == number_text(float("nan")) == "–"
    assert interval_text(None, 0.9) == ""


def is_decimal(value: ast.expr) -> bool:
    """Whether a value in an f-string is text already, or a number with digits after the point: no millimetre, no option."""
    if not isinstance(value, ast.FormattedValue):
        return False
    return value.format_spec is None or re.search(r"\.[1-9]f|%", ast.unparse(value.format_spec)) is not None


def writes_an_interval(node: ast.JoinedStr) -> bool:
    """Whether an f-string puts two decimals side by side as the ends of an interval, in brackets or named low and high."""
    for place, (first, between, second) in enumerate(zip(node.values, node.values[1:], node.values[2:], strict=False)):
        if not (is_decimal(first) and isinstance(between, ast.Constant) and is_decimal(second)):
            continue
        before = node.values[place - 1] if place else None
        bracket = isinstance(before, ast.Constant) and str(before.value).rstrip().endswith(("(", "["))
        named = "low" in ast.unparse(first) and "high" in ast.unparse(second)
        if BETWEEN.fullmatch(str(between.value)) and (
            named or (bracket and ".format_spec" and ":" in ast.unparse(first))
        ):
            return True
    return False


def writes_an_interval_of_plotly(node: ast.Constant) -> bool:
    return isinstance(node.value, str) and re.search(r"[(\[]%\{[^}]*\} to ", node.value) is not None


def test_no_other_place_writes_an_interval() -> None:
    found = [
        f"{path.relative_to(PROJECT_ROOT)}:{node.lineno}"
        for folder in ("core", "ui", "pages")
        for path in sorted((PROJECT_ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.JoinedStr) and writes_an_interval(node))
        or (isinstance(node, ast.Constant) and writes_an_interval_of_plotly(node))
    ]
    assert not found


@pytest.mark.parametrize(
    "written",
    [
        "f'{value:.3f} [{a.low:.3f} to {a.high:.3f}]'",
        "f'{x:.2f} ({a:.2f}, {b:.2f})'",
        "f'95%: {low:.1%} to {high:.1%}'",
    ],
)
def test_an_interval_written_by_hand_is_found(written: str) -> None:
    (text,) = (
        node for node in ast.walk(ast.parse(written)) if isinstance(node, ast.JoinedStr) and len(node.values) > 1
    )
    assert writes_an_interval(text)


def test_a_p_value_is_never_written_as_zero() -> None:
    assert (p_text(0.0123), p_text(0.04, "after Holm")) == ("p = 0.012", "p after Holm = 0.040")
    assert (p_text(0.0001), p_text(0.0005)) == ("p < 0.001", "p = 0.001")
