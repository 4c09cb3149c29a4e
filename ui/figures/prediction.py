"""A prediction's parts: the answer slice by slice, and how strong each slice's map is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from core.mri import MRSequence, Plane
from core.reports.marks import add_reference
from core.reports.palette import Palette, new_figure
from ui.widgets.slices import SliceStack

SYMBOLS: Mapping[MRSequence, str] = {
    MRSequence.FLAIR: "circle",
    MRSequence.T1W: "square",
    MRSequence.T1WCE: "diamond",
    MRSequence.T2W: "triangle-up",
    MRSequence.UNKNOWN: "x",
}
DIRECTIONS: Mapping[Plane, str] = {
    Plane.AXIAL: "feet → head",
    Plane.CORONAL: "front → back",
    Plane.SAGITTAL: "right → left",
}


def draw_probability(
    probability: float,
    threshold: float,
    class_names: tuple[str, str],
    palette: Palette,
    members: Sequence[float] = (),
) -> go.Figure:
    """One probability on a scale from 0 to 1 with the threshold marked.

    Parameters
    ----------
    probability, threshold
        Of the positive class.
    class_names
        The negative and the positive class's name.
    palette
        The theme's colours.
    members
        Of an ensemble: each member's probability, drawn as a small line.
    """
    figure = new_figure(palette, height=104)
    colour = palette.methylated if probability >= threshold else palette.unmethylated
    for length, shade, hover in ((1.0, palette.grid, "skip"), (probability, colour, "x")):
        figure.add_bar(
            x=[length], y=[""], orientation="h", marker={"color": shade}, hoverinfo=hover, showlegend=False, width=0.5
        )
    if members:
        figure.add_scatter(
            x=list(members),
            y=[""] * len(members),
            mode="markers",
            marker={"symbol": "line-ns", "size": 16, "line": {"width": 2, "color": palette.text}},
            hovertemplate="a member: %{x:.3f}<extra></extra>",
            showlegend=False,
        )
    figure.add_vline(x=threshold, line={"color": palette.text, "width": 2})
    words = {"y": 1, "yref": "paper", "showarrow": False, "font": {"size": 12, "color": palette.text}}
    figure.add_annotation(**words, x=threshold, text=f"threshold {threshold:.2f}", yanchor="bottom")
    below = words | {"y": 0, "yanchor": "top", "yshift": -2}
    figure.add_annotation(**below, x=0, xanchor="left", text=f"0 {class_names[0]}")
    figure.add_annotation(**below, x=1, xanchor="right", text=f"{class_names[1]} 1")
    figure.update_layout(barmode="overlay", margin={"l": 4, "r": 4, "t": 22, "b": 24})
    figure.update_xaxes(range=[0, 1], visible=False)
    figure.update_yaxes(visible=False)
    return figure


def draw_class_probabilities(
    class_names: Sequence[str], probabilities: Sequence[float], colours: Sequence[str], palette: Palette
) -> go.Figure:
    """The probability of each of several classes."""
    figure = new_figure(palette, x="probability", height=60 + 32 * len(class_names))
    figure.add_bar(
        x=list(probabilities),
        y=list(class_names),
        orientation="h",
        marker={"color": list(colours)},
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(autorange="reversed", ticks="")
    return figure


def draw_slice_probabilities(
    stacks: Sequence[SliceStack],
    plane: Plane,
    threshold: float,
    positive: str,
    palette: Palette,
    here: float | None = None,
) -> go.Figure:
    """The answer for each slice of one plane along the body, one line per sequence; `here` is marked."""
    figure = _along(plane, stacks, palette, f"probability of {positive}")
    for stack in stacks:
        if stack.plane == plane and stack.probabilities:
            shown = sorted(stack.probabilities)
            _add_series(figure, stack, shown, [stack.probabilities[index] for index in shown], palette, ".3f")
    add_reference(figure, palette, "threshold", y=threshold, colour=palette.text, position="top right")
    figure.update_yaxes(range=[-0.03, 1.03])
    return _mark(figure, here, palette)


def draw_map_strengths(
    stacks: Sequence[SliceStack],
    plane: Plane,
    raw_maxima: Mapping[tuple[int, int], float],
    palette: Palette,
    here: float | None = None,
) -> go.Figure:
    """The raw maximum of each slice's map along the body: what the maps' own scaling hides; `here` is marked."""
    figure = _along(plane, stacks, palette, "raw maximum of the map")
    for number, stack in enumerate(stacks):
        shown = sorted(index for series, index in raw_maxima if series == number)
        if stack.plane == plane and shown:
            _add_series(figure, stack, shown, [raw_maxima[number, index] for index in shown], palette, ".3g")
    figure.update_yaxes(rangemode="tozero")
    return _mark(figure, here, palette)


def _mark(figure: go.Figure, here: float | None, palette: Palette) -> go.Figure:
    if here is not None:
        figure.add_vline(x=here, line={"color": palette.muted, "width": 1})
    return figure


def _along(plane: Plane, stacks: Sequence[SliceStack], palette: Palette, title: str) -> go.Figure:
    in_mm = all(stack.in_mm for stack in stacks if stack.plane == plane)
    x = f"{plane} position (mm, {DIRECTIONS[plane]})" if in_mm and plane in DIRECTIONS else "picture"
    return new_figure(palette, x=x, y=title, height=240)


def _add_series(
    figure: go.Figure, stack: SliceStack, shown: Sequence[int], values: Sequence[float], palette: Palette, digits: str
) -> None:
    colour = palette.sequences[stack.sequence]
    unit = " mm" if stack.in_mm else ""
    figure.add_scatter(
        x=[float(stack.positions[index]) for index in shown],
        y=list(values),
        mode="lines+markers",
        name=stack.title,
        line={"color": colour, "width": 1.5},
        marker={"color": colour, "size": 8, "symbol": SYMBOLS[stack.sequence]},
        customdata=[index + 1 for index in shown],
        hovertemplate=f"{stack.title} slice %{{customdata}}, %{{x:.1f}}{unit}: %{{y:{digits}}}<extra></extra>",
    )
