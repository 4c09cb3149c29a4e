"""Marks that the figures of pages and reports share: bands, reference lines, error bars, rows of a forest plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from core.figure_text import StoredFigure, figure_ends, figure_text
from core.reports.palette import Palette

Numbers = ArrayLike | Sequence[float | None]
"""Places on an axis."""


def add_band(
    figure: go.Figure,
    x: Numbers,
    low: Numbers,
    high: Numbers,
    colour: str,
    *,
    opacity: float = 0.16,
    name: str | None = None,
) -> None:
    """Fill between two lines; the band has no hover, and no entry in the legend unless it has a name."""
    across, bottom, top = (np.asarray(values, dtype=np.float64) for values in (x, low, high))
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    figure.add_scatter(
        x=np.r_[across, across[::-1]],
        y=np.r_[bottom, top[::-1]],
        mode="lines",
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},{opacity})",
        line={"width": 0},
        hoverinfo="skip",
        name=name,
        showlegend=None if name else False,
    )


def add_reference(
    figure: go.Figure,
    palette: Palette,
    text: str = "",
    *,
    x: float | None = None,
    y: float | None = None,
    colour: str | None = None,
    position: str | None = None,
) -> None:
    """Draw a dashed line across the figure at a place of one axis, muted unless a colour is named, and a word beside it."""
    line = {"color": colour or palette.muted, "width": 1, "dash": "dash"}
    note: dict[str, object] = {}
    if text:  # a position without a text is drawn as "new text"
        note["annotation"] = {"text": text, "font": {"size": 11, "color": palette.text}}
        note["annotation_position"] = position or ("top left" if x is not None else "bottom right")
    if x is not None:
        figure.add_vline(x=x, line=line, **note)
    if y is not None:
        figure.add_hline(y=y, line=line, **note)


def add_diagonal(figure: go.Figure, palette: Palette) -> None:
    """Draw the diagonal of the unit square: chance in a ROC curve, every promise kept in a reliability diagram."""
    line = {"color": palette.muted, "width": 1, "dash": "dash"}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=line, hoverinfo="skip", showlegend=False)


def show_unit_square(figure: go.Figure) -> None:
    """Have both axes go from 0 to 1, with a little air."""
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(range=[-0.02, 1.02])


def error_bars(
    value: Numbers, low: Numbers, high: Numbers, colour: str, *, thickness: float = 1, width: float = 0
) -> dict[str, object]:
    """Error bars as plotly takes them, for ``error_x`` or ``error_y``; of no length where an end is None or NaN."""
    middle, bottom, top = (np.asarray(ends, dtype=np.float64) for ends in (value, low, high))
    return {
        "type": "data",
        "symmetric": False,
        "array": np.nan_to_num(top - middle),
        "arrayminus": np.nan_to_num(middle - bottom),
        "color": colour,
        "thickness": thickness,
        "width": width,
    }


def interval_bars(figures: Sequence[StoredFigure], colour: str, *, thickness: float = 1) -> dict[str, object]:
    """Error bars of figures with their intervals."""
    ends = np.array([figure_ends(one) for one in figures], dtype=np.float64).reshape(-1, 3)
    value, low, high = ends.T
    return error_bars(value, low, high, colour, thickness=thickness)


def add_forest(
    figure: go.Figure,
    places: Sequence[float | str],
    figures: Sequence[StoredFigure | None],
    colour: str,
    symbol: str,
    *,
    name: str | None = None,
    unit: str = "",
    size: int = 8,
) -> None:
    """Add rows of a forest plot: each figure with its interval at its place; those without a value are left out.

    Parameters
    ----------
    figure
        Is added to.
    places
        On the vertical axis, one for each figure.
    figures
        As evaluated, or as a JSON document has them.
    colour, symbol, size
        Of the points; a large one has a thicker interval.
    name
        In the legend; without one there is no entry.
    unit
        Of n, where the mouse rests.
    """
    known = [(p, one) for p, one in zip(places, figures, strict=True) if one and figure_ends(one)[0] is not None]
    if not known:
        return
    shown = [one for _, one in known]
    figure.add_scatter(
        x=[figure_ends(one)[0] for one in shown],
        y=[place for place, _ in known],
        mode="markers",
        name=name,
        marker={"color": colour, "size": size, "symbol": symbol},
        error_x=interval_bars(shown, colour, thickness=2 if size > 9 else 1.5),
        text=[figure_text(one, unit) for one in shown],
        hovertemplate=f"{name or '%{y}'}: %{{text}}<extra></extra>",
        showlegend=None if name else False,
    )
