"""Colours and the plotly template, for light and dark: the only place where a colour is chosen.

The pair methylated/unmethylated is Okabe and Ito's vermilion and blue, which people with any common colour
blindness tell apart; in the dark both are lightened to keep a contrast of at least 3:1 against the page.

It stands in core because the reports that the command line writes are drawn in the same colours as the pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import plotly.graph_objects as go

from core.mri import MRSequence

FONT = '"Source Sans", system-ui, sans-serif'
"""Streamlit's own; a name that CSS cannot parse would be dropped without a word."""

DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """The colours of one theme, as ``#rrggbb``."""

    methylated: str
    unmethylated: str
    train: str
    validation: str
    accent: str
    warning: str
    error: str
    muted: str
    text: str
    grid: str
    surface: str
    sequences: Mapping[MRSequence, str]
    others: tuple[str, ...]
    """For further classes, where a cohort has more than two."""
    runs: tuple[str, ...]
    """For runs that are laid over each other: told apart by lightness too, where colours are not."""


LIGHT = Palette(
    methylated="#c65200",
    unmethylated="#0072b2",
    train="#7b8794",
    validation="#0b6a78",
    accent="#0b6a78",
    warning="#9a6700",
    error="#b3261e",
    muted="#7b8794",
    text="#18222d",
    grid="#e3e8ec",
    surface="#ffffff",
    sequences=MappingProxyType(
        {
            MRSequence.FLAIR: "#0b6a78",
            MRSequence.T1W: "#7a4b9d",
            MRSequence.T1WCE: "#a3406f",
            MRSequence.T2W: "#8a6500",
            MRSequence.UNKNOWN: "#4d5b69",
        }
    ),
    others=("#7a4b9d", "#8a6500", "#3f7d20", "#a3406f"),
    runs=("#0b6a78", "#c65200", "#7a4b9d", "#0072b2", "#8a6500", "#a3406f"),
)

DARK = Palette(
    methylated="#f5914a",
    unmethylated="#5db4ea",
    train="#8d9aa7",
    validation="#58bdca",
    accent="#58bdca",
    warning="#e3b341",
    error="#f2837c",
    muted="#8d9aa7",
    text="#e3e9ee",
    grid="#2a343e",
    surface="#0f151b",
    sequences=MappingProxyType(
        {
            MRSequence.FLAIR: "#58bdca",
            MRSequence.T1W: "#c49ae6",
            MRSequence.T1WCE: "#ee8fb8",
            MRSequence.T2W: "#dcb347",
            MRSequence.UNKNOWN: "#a9b6c2",
        }
    ),
    others=("#c49ae6", "#dcb347", "#8fce6b", "#ee8fb8"),
    runs=("#58bdca", "#f5914a", "#c49ae6", "#5db4ea", "#dcb347", "#ee8fb8"),
)


def class_colour(palette: Palette, index: int, positive_class: int, class_count: int = 2) -> str:
    """Colour of one class: the positive one is "methylated"'s, the other of two "unmethylated"'s."""
    if index == positive_class:
        return palette.methylated
    if class_count <= 2:
        return palette.unmethylated
    rest = [palette.unmethylated, *palette.others]
    return rest[(index - (index > positive_class)) % len(rest)]


def new_figure(palette: Palette, *, height: int = 260, x: str = "", y: str = "") -> go.Figure:
    """An empty figure in the app's template.

    Parameters
    ----------
    palette
        The theme's colours.
    height
        In pixels.
    x, y
        Axis titles, with their unit.
    """
    axis: dict[str, Any] = {
        "gridcolor": palette.grid,
        "zerolinecolor": palette.grid,
        "linecolor": palette.muted,
        "tickcolor": palette.muted,
        "ticks": "outside",
        "ticklen": 4,
        "title": {"standoff": 8, "font": {"size": 12, "color": palette.text}},
        "tickfont": {"size": 11, "color": palette.text},
        "automargin": True,
    }
    # Given at once: plotly reads no template of its own first.
    return go.Figure(
        layout={
            "template": "none",
            "height": height,
            "font": {"family": FONT, "size": 12, "color": palette.text},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 8, "r": 12, "t": 28, "b": 8},
            "legend": {
                "orientation": "h",
                "x": 0,
                "y": 1.0,
                "xanchor": "left",
                "yanchor": "bottom",
                "font": {"size": 11, "color": palette.text},
                "bgcolor": "rgba(0,0,0,0)",
            },
            "hoverlabel": {"bgcolor": palette.surface, "bordercolor": palette.muted, "font": {"color": palette.text}},
            "xaxis": {**axis, "title": {**axis["title"], "text": x}},
            "yaxis": {**axis, "title": {**axis["title"], "text": y}},
            "bargap": 0.25,
        }
    )


def run_style(palette: Palette, index: int) -> tuple[str, str]:
    """Colour and dash of one of several runs in a figure: the colours come round, with another dash each time."""
    turn, place = divmod(index, len(palette.runs))
    return palette.runs[place], DASHES[turn % len(DASHES)]
