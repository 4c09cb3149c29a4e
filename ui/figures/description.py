"""What a chart shows, in words, for whoever hears a page read aloud."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import unescape
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

MOST_TRACES, MOST_PLACES, MOST_CHARACTERS = 6, 8, 700
"""A chart of more is described in part."""


class _Row(NamedTuple):
    value: float
    place: str
    named: bool
    """Whether its place is a word."""
    text: str


def describe_figure(figure: go.Figure) -> str:
    """Return a figure's title and axes, the values of each trace, and its notes.

    Up to `MOST_PLACES` named values are all said; of longer lines the ends, the lowest and the highest. Traces without hover
    of their own (bands, the diagonal) are named at most.
    """
    layout = figure.layout.to_plotly_json()
    traces = [words for trace in figure.data if (words := _describe_trace(trace.to_plotly_json(), layout))]
    notes = [words for note in layout.get("annotations", ()) if (words := _describe_note(note))]
    if not traces and not notes:
        return "nothing is drawn"
    left_out = [f"{len(traces) - MOST_TRACES} more"] if len(traces) > MOST_TRACES else []
    parts = [_title(layout), _axes(layout), *traces[:MOST_TRACES], *left_out, "; ".join(notes)]
    words = ". ".join(part for part in parts if part)
    return words if len(words) <= MOST_CHARACTERS else f"{words[: MOST_CHARACTERS - 1]}…"


def _describe_trace(trace: Mapping[str, Any], layout: Mapping[str, Any]) -> str:
    name = _plain(trace.get("name"))
    if trace.get("hoverinfo") in ("skip", "text") or trace.get("visible") is False:
        return name
    values = _describe_cells(trace, layout) if trace["type"] == "heatmap" else _describe_values(trace, layout)
    return f"{name}: {values}" if name and values else values


def _describe_values(trace: Mapping[str, Any], layout: Mapping[str, Any]) -> str:
    """The values of a trace along its other axis; of a box or a histogram how they are spread."""
    axes = {axis: _sequence(trace.get(axis)) for axis in "xy"}
    if trace["type"] in ("box", "histogram"):
        return _describe_spread(_numbers(axes["x" if trace["type"] == "histogram" else "y"]))
    vertical = layout.get(_axis(trace, "y"), {})
    names = dict(zip(_sequence(vertical.get("tickvals")), _sequence(vertical.get("ticktext")), strict=False))
    across = trace.get("orientation") == "h" or bool(names) or any(isinstance(one, str) for one in axes["y"])
    if not across and vertical.get("visible") is False:
        return ""
    values, places = _numbers(axes["x" if across else "y"]), axes["y" if across else "x"]
    if names:
        places = [_name_of(place, names) for place in places]
    if trace["type"] == "bar" and all(isinstance(one, str) for one in _sequence(trace.get("customdata"))):
        places = _sequence(trace.get("customdata")) or places
    title = "" if across else _title(layout.get(_axis(trace, "x"), {}))
    texts = _sequence(trace.get("text"))
    texts = texts if len(texts) == len(values) else [""] * len(values)
    rows = [
        _Row(value, _place(place, title), isinstance(place, str), _plain(text))
        for value, place, text in zip(values, places, texts, strict=False)
        if not math.isnan(value)
    ]
    if len(rows) <= (MOST_PLACES if any(row.named or row.text for row in rows) else 2):
        return "; ".join(dict.fromkeys(map(_describe_row, rows)))
    return _describe_course(rows, lines="lines" in str(trace.get("mode")))


def _describe_row(row: _Row) -> str:
    value = row.text or _number(row.value)
    if not row.named:
        return f"{value} at {row.place}"
    return f"{row.place}: {value}" if row.place else value


def _describe_course(rows: Sequence[_Row], *, lines: bool) -> str:
    """The ends of a line, and what of its lowest and its highest value lies between them."""
    first, last = _number(rows[0].value), _number(rows[-1].value)
    extremes = {
        word: row
        for word, row in (
            ("lowest", min(rows, key=lambda row: row.value)),
            ("highest", max(rows, key=lambda row: row.value)),
        )
        if not lines or _number(row.value) not in (first, last)
    }
    parts = [f"{first} to {last} in {len(rows)} points" if lines else f"{len(rows)} points"]
    parts += [f"{word} {_number(row.value)} at {row.place}" for word, row in extremes.items()]
    return ", ".join(parts)


def _describe_spread(values: Iterable[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return ""
    middle = float(np.median(known))
    return f"n = {len(known)}, {_number(min(known))} to {_number(max(known))}, median {_number(middle)}"


def _describe_cells(trace: Mapping[str, Any], layout: Mapping[str, Any]) -> str:
    """A heat map's cells where it says them, else the range of their values unless notes say them."""
    texts = [
        f"{_plain(row)}, {_plain(column)}: {_plain(text)}"
        for row, line in zip(_sequence(trace.get("y")), _sequence(trace.get("text")), strict=False)
        for column, text in zip(_sequence(trace.get("x")), line, strict=False)
        if text
    ]
    if texts or layout.get("annotations"):
        return "; ".join(texts)
    return _describe_spread(_numbers([value for line in _sequence(trace.get("z")) for value in line]))


def _describe_note(note: Mapping[str, Any]) -> str:
    """A note's text, with the cell of a heat map that it stands in."""
    text, place = _plain(note.get("text")), (note.get("y"), note.get("x"))
    return f"{place[0]}, {place[1]}: {text}" if text and all(isinstance(one, str) for one in place) else text


def _axes(layout: Mapping[str, Any]) -> str:
    titles = [
        next((title for name in sorted(layout) if name.startswith(axis) and (title := _title(layout[name]))), "")
        for axis in ("yaxis", "xaxis")
    ]
    return " against ".join(title for title in titles if title)


def _title(part: Mapping[str, Any]) -> str:
    return _plain((part.get("title") or {}).get("text"))


def _axis(trace: Mapping[str, Any], axis: str) -> str:
    return f"{axis}axis{str(trace.get(f'{axis}axis', axis))[1:]}"


def _name_of(place: Any, names: Mapping[Any, Any]) -> str:
    """The name of the tick that a place on an axis is nearest to."""
    if isinstance(place, str):
        return str(names.get(place, place))
    return str(names[min(names, key=lambda tick: abs(tick - place))])


def _place(place: Any, title: str) -> str:
    if not isinstance(place, (int, float, np.number)):
        return _plain(place)
    number = _number(float(place))
    return f"{title} {number}" if title.isalpha() else number


def _sequence(values: Any) -> list[Any]:
    """A trace's values as a list; none of a single text, which is the same for all."""
    return [] if values is None or isinstance(values, str) else list(values)


def _numbers(values: Sequence[Any]) -> list[float]:
    """The values as numbers; NaN for what is none."""
    return [float(one) if isinstance(one, (int, float, np.number)) else math.nan for one in values]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _plain(text: Any) -> str:
    """A text of plotly's without its markup."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", str(text or ""))).split())
