"""Images of a test of maps: how often they hit the tumour, and how they change as weights are replaced."""

from __future__ import annotations

import plotly.graph_objects as go

from core.explain.methods import METHODS
from core.explain.validation.saliency_result import MapScore, MapTest
from core.figure_text import figure_text
from core.reports.marks import add_forest, add_reference, interval_bars
from core.reports.palette import Palette, new_figure


def draw_hits(found: MapTest, palette: Palette) -> go.Figure:
    """The pointing game of every method and layer, with that of the same network with random weights."""
    ordered = sorted(found.scores, key=lambda score: (score.hits.value or 0.0) if score.hits else 0.0)
    figure = new_figure(palette, x="maps that are strongest inside the tumour (share)", height=110 + 24 * len(ordered))
    for name, colour, symbol, figures, above in (
        ("as learnt", palette.accent, "circle", [score.hits for score in ordered], 0.17),
        ("random weights", palette.error, "diamond", [score.random_hits for score in ordered], -0.17),
    ):
        places = [row + above for row in range(len(figures))]
        add_forest(figure, places, figures, colour, symbol, name=name, unit="images")
    if found.chance is not None and found.chance.value is not None:
        add_reference(figure, palette, "a random place", x=found.chance.value, position="top right")
    figure.update_xaxes(range=[-0.02, 1.04])
    figure.update_yaxes(tickvals=list(range(len(ordered))), ticktext=[_name(score) for score in ordered])
    return figure


def draw_cascade(found: MapTest, palette: Palette) -> go.Figure:
    """Similarity of the map to that of a network randomised from its head down, stage by stage.

    A colour for each layer; the method that the page speaks of stands out, with its interval.
    """
    figure = new_figure(
        palette, x="random weights from the head down to", y="similarity of the map (SSIM)", height=110 + 24 * 12
    )
    layers = list(dict.fromkeys(score.layer for score in found.scores))
    colours = (palette.unmethylated, palette.methylated, palette.muted, palette.warning)
    best = found.best
    # The best one last: on top of the others.
    for score in sorted(found.scores, key=lambda score: (score is best, layers.index(score.layer))):
        chosen = score is best
        first = score is next((one for one in found.scores if one.layer == score.layer and one is not best), None)
        figure.add_scatter(
            x=list(found.stages),
            y=[one.value for one in score.similarity],
            mode="lines+markers" if chosen else "lines",
            name=_name(score) if chosen else f"others, {score.layer}" if score.layer else "others",
            line={
                "color": palette.accent if chosen else colours[layers.index(score.layer) % len(colours)],
                "width": 3 if chosen else 1,
            },
            error_y=interval_bars(score.similarity, palette.accent) if chosen else None,
            showlegend=chosen or first,
            text=[figure_text(one, "images") for one in score.similarity],
            hovertemplate=f"{_name(score)}<br>down to %{{x}}: %{{text}}<extra></extra>",
        )
    figure.update_yaxes(range=[-0.1, 1.02])
    return figure


def _name(score: MapScore) -> str:
    return f"{METHODS[score.method].title}, {score.layer}" if score.layer else METHODS[score.method].title
