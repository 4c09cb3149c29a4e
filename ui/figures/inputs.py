"""A drawing of what goes into a network: slices, channels, volumes and streams, to the numbers of a configuration."""

from __future__ import annotations

import plotly.graph_objects as go

from core.config import PrepConfig
from core.reports.palette import Palette, new_figure

SIDE, STEP, GAP = 1.0, 0.09, 0.55
DRAWN = 7
"""Layers of a volume that are drawn, whatever there are."""


def name_blocks(prep: PrepConfig) -> list[str]:
    """What stands side by side in one example, in the order of channels or streams."""
    if prep.combines:
        return [str(sequence) for sequence in prep.sequences]
    if prep.channels == "neighbours":
        return ["slice below", "slice", "slice above"]
    return ["one sequence"]


def draw_input(prep: PrepConfig, network: str, palette: Palette) -> go.Figure:
    """Draw one example as stacks of images, an arrow, and the network.

    Parameters
    ----------
    prep
        Its form, channels, slices and size are drawn.
    network
        The network's title.
    palette
        Colours of the theme.
    """
    figure = new_figure(palette)
    names = name_blocks(prep)
    depth = min(prep.slice_count, DRAWN) if prep.form == "volume" else 1
    width = SIDE + (depth - 1) * STEP
    for place, name in enumerate(names):
        left = place * (width + GAP)
        for layer in reversed(range(depth)):
            x, y = left + layer * STEP, layer * STEP
            figure.add_shape(
                type="rect", x0=x, y0=y, x1=x + SIDE, y1=y + SIDE, fillcolor=palette.surface,
                line={"color": palette.accent, "width": 1.5},
            )  # fmt: skip
        figure.add_annotation(x=left + SIDE / 2, y=-0.16, text=name, showarrow=False, font={"color": palette.text})
    right = len(names) * (width + GAP) - GAP
    middle = width / 2
    figure.add_annotation(
        x=right + 0.75, y=middle, ax=right + 0.15, ay=middle, xref="x", yref="y", axref="x", ayref="y", text="",
        arrowhead=2, arrowwidth=2, arrowcolor=palette.muted,
    )  # fmt: skip
    figure.add_shape(
        type="rect", x0=right + 0.85, y0=middle - 0.35, x1=right + 3.05, y1=middle + 0.35, fillcolor=palette.accent,
        line={"width": 0},
    )  # fmt: skip
    figure.add_annotation(
        x=right + 1.95, y=middle, text=_wrap(network), showarrow=False, font={"color": palette.surface, "size": 13}
    )
    figure.update_xaxes(visible=False, range=[-0.15, right + 3.2])
    figure.update_yaxes(visible=False, range=[-0.35, max(width, 1.2) + 0.1], scaleanchor="x")
    figure.update_layout(height=190, margin={"l": 0, "r": 0, "t": 0, "b": 0}, showlegend=False)
    return figure


def _wrap(title: str) -> str:
    """Break a long title at the middle blank."""
    if len(title) <= 18 or " " not in title:
        return title
    blanks = [place for place, letter in enumerate(title) if letter == " "]
    cut = min(blanks, key=lambda place: abs(place - len(title) / 2))
    return f"{title[:cut]}<br>{title[cut + 1 :]}"
