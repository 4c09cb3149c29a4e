"""Images of the controls: what copies of a patient in training are worth, and what chance alone reaches."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from numpy.typing import ArrayLike

from core.evaluation.figure import Figure
from core.experiments.controls.leak_meter import LeakMeter
from core.figure_text import figure_text
from core.reports.marks import add_band, add_forest, add_reference
from core.reports.palette import Palette, new_figure


def draw_leak(found: LeakMeter, palette: Palette) -> go.Figure:
    """Accuracy of the nearest neighbour by slice and by patient, with true and with shuffled labels."""
    figure = new_figure(palette, x="accuracy by slice", height=300)
    rows = ("slices dealt out singly", "whole patients held out")
    series = (
        ("true labels", palette.accent, (found.by_slice, found.by_patient), "circle"),
        ("labels shuffled by patient", palette.error, (found.by_slice_shuffled, found.by_patient_shuffled), "diamond"),
    )
    for place, (name, colour, figures, symbol) in enumerate(series):
        shift = 0.14 if place == 0 else -0.14
        add_forest(figure, [1 + shift, shift], figures, colour, symbol, name=name, unit="slices", size=10)
    add_reference(figure, palette, f"commoner class {found.majority:.2f}", x=found.majority, position="bottom right")
    figure.update_xaxes(range=[0.28, 1.04])
    figure.update_yaxes(tickvals=[1, 0], ticktext=[name.replace(" ", "<br>", 1) for name in rows], range=[-0.55, 1.5])
    return figure


def draw_dose(found: LeakMeter, palette: Palette) -> go.Figure:
    """Accuracy against the share of evaluated patients that have sibling slices in training."""
    figure = new_figure(
        palette, x="evaluated patients with sibling slices in training (%)", y="accuracy by slice", height=300
    )
    share = [100 * point.share for point in found.dose]
    for name, colour, figures, dash in (
        ("true labels", palette.accent, [point.true for point in found.dose], "solid"),
        ("labels shuffled by patient", palette.error, [point.shuffled for point in found.dose], "dot"),
    ):
        if all(one.low is not None and one.high is not None for one in figures):
            add_band(figure, share, [one.low for one in figures], [one.high for one in figures], colour, opacity=0.13)
        figure.add_scatter(
            x=share,
            y=[one.value for one in figures],
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            customdata=[figure_text(one, "slices") for one in figures],
            hovertemplate=f"{name}, %{{x:.0f}}%: %{{customdata}}<extra></extra>",
        )
    add_reference(figure, palette, f"commoner class {found.majority:.2f}", y=found.majority)
    figure.update_xaxes(range=[-4, 104], tickvals=share, ticksuffix="%")
    figure.update_yaxes(range=[0.28, 1.04])
    return figure


def draw_null(null: ArrayLike, observed: float, caption: str, palette: Palette, x: str) -> go.Figure:
    """Histogram of what shuffled labels gave, the observed value as a line; `caption` says p and N."""
    figure = new_figure(palette, x=x, y="shuffles", height=300)
    figure.add_histogram(
        x=list(map(float, null)),  # type: ignore[arg-type]
        xbins={"start": 0, "end": 1.0001, "size": 0.025},
        marker={"color": palette.muted, "line": {"width": 0}},
        name="labels shuffled by patient",
        hovertemplate="%{x}: %{y} shuffles<extra></extra>",
    )
    figure.add_vline(
        x=observed,
        line={"color": palette.error, "width": 2},
        # Above the bars, which may stand as high as the line.
        annotation={"text": caption, "font": {"size": 12, "color": palette.text}, "yanchor": "bottom"},
        annotation_position="top left" if observed > 0.6 else "top right",
    )
    figure.update_xaxes(range=[0, 1])
    figure.update_layout(showlegend=False, bargap=0.05, margin={"l": 8, "r": 12, "t": 40, "b": 8})
    return figure


def draw_intervals(
    names: Sequence[str], figures: Sequence[Figure], found: Sequence[bool], palette: Palette, unit: str = "patients"
) -> go.Figure:
    """One AUROC a row with its interval; those that predict better than chance in the warning colour."""
    figure = new_figure(palette, x="AUROC by patient", height=60 + 56 * len(names))
    places = list(range(len(names)))[::-1]
    for flag, colour, name, symbol in (
        (False, palette.accent, "not told from chance", "circle"),
        (True, palette.error, "better than chance", "diamond"),
    ):
        rows = [row for row in range(len(names)) if found[row] is flag]
        shown = [figures[row] for row in rows]
        add_forest(figure, [places[row] for row in rows], shown, colour, symbol, name=name, unit=unit, size=10)
    add_reference(figure, palette, x=0.5)
    figure.update_xaxes(range=[-0.02, 1.04])
    figure.update_yaxes(tickvals=places, ticktext=list(names), range=[-0.6, len(names) - 0.4])
    return figure
