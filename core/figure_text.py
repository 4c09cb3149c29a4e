"""How a value with its interval and its n is written, everywhere: ``0.948 (0.884 to 0.977), n = 100``.

Three digits after the point, the interval in brackets with "to" between its ends. The command line, the pages, checkpoint
cards and HTML reports all write figures with these functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol


class HasInterval(Protocol):
    """What a :class:`core.evaluation.figure.Figure` has; n and reason are read too where there are any."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


StoredFigure = HasInterval | Mapping[str, Any]
"""A figure, or one as a JSON document stores it."""

ABSENT = "–"
"""Stands where there is no number."""


def number_text(value: float | None, *, signed: bool = False, percent: bool = False) -> str:
    """Write ``0.948``; `signed` ``+0.948``; `percent` ``94.8%``; a dash where there is no number."""
    if value is None or math.isnan(value):
        return ABSENT
    return format(value, f"{'+' if signed else ''}{'.1%' if percent else '.3f'}")


def p_text(p: float, of: str = "") -> str:
    """Write ``p = 0.012``, ``p after Holm = 0.012`` of "after Holm", and ``p < 0.001`` where three digits would be zeros."""
    words = f"p {of}".strip()
    return f"{words} < 0.001" if p < 0.0005 else f"{words} = {p:.3f}"


def interval_text(low: float | None, high: float | None, *, signed: bool = False, percent: bool = False) -> str:
    """Write ``0.884 to 0.977``; nothing where there is no interval."""
    if low is None or high is None:
        return ""
    ends = (number_text(end, signed=signed, percent=percent) for end in (low, high))
    return " to ".join(ends)


def value_text(figure: StoredFigure | None, *, signed: bool = False, percent: bool = False) -> str:
    """Write ``0.948 (0.884 to 0.977)``, or why there is no value or no interval: ``none (one class only)``."""
    if figure is None:
        return ABSENT
    reason = str(_field(figure, "reason") or "").removeprefix("no interval: ")
    because = f": {reason}" if reason else ""
    if _field(figure, "value") is None:
        return f"none{because}"
    value = number_text(_field(figure, "value"), signed=signed, percent=percent)
    interval = interval_text(_field(figure, "low"), _field(figure, "high"), signed=signed, percent=percent)
    return f"{value} ({interval or f'no interval{because}'})"


def figure_text(figure: StoredFigure | None, unit: str = "", *, signed: bool = False) -> str:
    """Write ``0.948 (0.884 to 0.977), n = 100 patients``; `unit` says what was counted."""
    if figure is None:
        return ABSENT
    count = _field(figure, "n")
    return f"{value_text(figure, signed=signed)}, n = {'not kept' if count is None else count}{unit and f' {unit}'}"


def figure_ends(figure: StoredFigure) -> tuple[float | None, float | None, float | None]:
    """Value, low and high of a figure, each None where there is none."""
    return _field(figure, "value"), _field(figure, "low"), _field(figure, "high")


def _field(figure: StoredFigure, name: str) -> Any:
    return figure.get(name) if isinstance(figure, Mapping) else getattr(figure, name, None)
