"""Pictures of a test of maps: how often they hit the tumour, and how they change as weights are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.evaluation.figure import Figure
from core.inference.cam import METHODS
from core.inference.map_test import MapScore, MapTest
from ui.text import figure_text
from ui.theme import Palette, new_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["draw_cascade", "draw_hits"]

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def draw_hits(found: MapTest, palette: Palette) -> go.Figure:
    """The pointing game of every method and layer, with that of the same network with random weights."""
    ordered = sorted(found.scores, key=lambda score: (score.hits.value or 0.0) if score.hits else 0.0)
    figure = new_figure(palette, x="maps that are strongest inside the tumour (share)", height=110 + 24 * len(ordered))
    for name, colour, symbol, figures in (
        ("as learnt", palette.accent, "circle", [score.hits for score in ordered]),
        ("random weights", palette.error, "diamond", [score.random_hits for score in ordered]),
    ):
        _add_points(figure, figures, name, colour, symbol)
    if found.chance is not None and found.chance.value is not None:
        figure.add_vline(
            x=found.chance.value,
            line={"color": palette.muted, "width": 1, "dash": "dash"},
            annotation={"text": "a random place", "font": {"size": 11, "color": palette.text}},
            annotation_position="top right",
        )
    figure.update_xaxes(range=[-0.02, 1.04])
    figure.update_yaxes(tickvals=list(range(len(ordered))), ticktext=[_name(score) for score in ordered])
    return figure


def draw_cascade(found: MapTest, palette: Palette) -> go.Figure:
    """Similarity of the map to that of a network randomised from its head down, stage by stage."""
    figure = new_figure(
        palette, x="random weights from the head down to", y="similarity of the map (SSIM)", height=110 + 24 * 12
    )
    layers = list(dict.fromkeys(score.layer for score in found.scores))
    methods = list(dict.fromkeys(score.method for score in found.scores))
    colours = (palette.accent, palette.warning, palette.error, palette.methylated, palette.unmethylated, palette.muted)
    for score in found.scores:
        figure.add_scatter(
            x=list(found.stages),
            y=list(score.similarity),
            mode="lines",
            name=_name(score),
            line={
                "color": colours[methods.index(score.method) % len(colours)],
                "dash": DASHES[layers.index(score.layer) % len(DASHES)],
                "width": 1.5,
            },
            showlegend=False,
            hovertemplate=f"{_name(score)}<br>down to %{{x}}: %{{y:.2f}}<extra></extra>",
        )
    figure.update_yaxes(range=[-0.1, 1.02])
    return figure


def _add_points(figure: go.Figure, figures: list[Figure | None], name: str, colour: str, symbol: str) -> None:
    rows = [row for row, one in enumerate(figures) if one is not None and one.value is not None]
    known = [one for one in figures if one is not None and one.value is not None]
    figure.add_scatter(
        x=[one.value for one in known],
        y=rows,
        mode="markers",
        name=name,
        marker={"color": colour, "symbol": symbol, "size": 9},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(one.high or one.value or 0.0) - (one.value or 0.0) for one in known],
            "arrayminus": [
                (one.value or 0.0) - (one.low or 0.0 if one.low is not None else one.value or 0.0) for one in known
            ],
            "thickness": 1,
            "width": 0,
        },
        text=[figure_text(one, "pictures") for one in known],
        hovertemplate=f"{name}: %{{text}}<extra></extra>",
    )


def _name(score: MapScore) -> str:
    return f"{METHODS[score.method].title}, {score.layer}" if score.layer else METHODS[score.method].title
