"""What probabilities are worth: reliability, sets of classes, thresholds and net benefit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.evaluation.conformal import ideal_set_size
from core.evaluation.curves import ReliabilityBins
from core.evaluation.thresholds import SHARES, DecisionCurve, OperatingPoint
from core.figure_text import figure_text
from core.reports.marks import add_band, add_diagonal, add_reference, interval_bars, show_unit_square
from core.reports.palette import Palette, new_figure


def draw_reliability(
    before: ReliabilityBins | None, after: ReliabilityBins, names: tuple[str, str], palette: Palette, *, positive: str
) -> go.Figure:
    """What was promised against what was observed, with Wilson intervals; the diagonal keeps every promise."""
    figure = new_figure(
        palette, x=f"probability of {positive} that was said", y=f"share that was {positive}", height=360
    )
    add_diagonal(figure, palette)
    for bins, name, colour, symbol in (
        (before, names[0], palette.train, "circle-open"),
        (after, names[1], palette.accent, "circle"),
    ):
        if bins is None:
            continue
        figure.add_scatter(
            x=bins.promised,
            y=bins.observed,
            mode="markers+lines",
            name=name,
            line={"color": colour, "width": 1},
            marker={"color": colour, "size": 9, "symbol": symbol},
            text=[figure_text(one, "patients") for one in bins.figures],
            error_y=interval_bars(bins.figures, colour),
            hovertemplate="said %{x:.3f}, was %{text}<extra></extra>",
        )
    show_unit_square(figure)
    return figure


def draw_set_size(level: float, own: tuple[float, float] | None, palette: Palette) -> go.Figure:
    """The smallest mean size of sets that keep a promise, against the AUROC; `own` is the run's AUROC and size."""
    areas = np.linspace(0.5, 0.99, 99)
    figure = new_figure(palette, x="AUROC", y="classes in a set, on average", height=320)
    figure.add_scatter(
        x=areas,
        y=[ideal_set_size(area, level) for area in areas],
        mode="lines",
        name=f"ideal at {level:.0%}",
        line={"color": palette.muted, "width": 2, "dash": "dash"},
        hovertemplate="AUROC %{x:.2f}: at best %{y:.2f} classes<extra></extra>",
    )
    if own is not None:
        figure.add_scatter(
            x=[own[0]],
            y=[own[1]],
            mode="markers",
            name="this model",
            marker={"color": palette.accent, "size": 11},
            hovertemplate="AUROC %{x:.3f}: %{y:.2f} classes<extra></extra>",
        )
    add_reference(figure, palette, "names both classes always", y=2)
    add_reference(figure, palette, "one class each", y=1)
    figure.update_yaxes(range=[0.8, 2.1])
    return figure


def draw_threshold_shares(points: Sequence[OperatingPoint], chosen: float, palette: Palette) -> list[go.Figure]:
    """Sensitivity with specificity, and the two predictive values, against the threshold with their intervals."""
    figures = []
    for pair in (("sensitivity", "specificity"), ("positive_value", "negative_value")):
        figure = new_figure(palette, x="threshold on the probability", y="share of patients", height=320)
        for name, colour in zip(pair, (palette.methylated, palette.unmethylated), strict=True):
            found = [(point.threshold, getattr(point, name)) for point in points]
            there = [(x, share) for x, share in found if share.value is not None]
            x = [place for place, _ in there]
            add_band(figure, x, [share.low for _, share in there], [share.high for _, share in there], colour)
            figure.add_scatter(
                x=x,
                y=[share.value for _, share in there],
                mode="lines",
                name=SHARES[name],
                line={"color": colour, "width": 2},
                text=[figure_text(share) for _, share in there],
                hovertemplate=f"%{{text}}<extra>{SHARES[name]}</extra>",
            )
        add_reference(figure, palette, "chosen on validation", x=chosen)
        figure.update_xaxes(range=[0, 1])
        figure.update_yaxes(range=[-0.02, 1.02])
        figures.append(figure)
    return figures


def draw_decision(curve: DecisionCurve, chosen: float | None, palette: Palette) -> go.Figure:
    """Net benefit against the threshold probability: the model, everybody, nobody."""
    figure = new_figure(palette, x="threshold probability", y="net benefit per patient", height=360)
    add_band(figure, curve.thresholds, curve.low, curve.high, palette.accent)
    for values, name, colour, dash in (
        (curve.model, "the model", palette.accent, "solid"),
        (curve.all, "call everybody positive", palette.methylated, "dot"),
        (np.zeros(len(curve.thresholds)), "call nobody positive", palette.muted, "dash"),
    ):
        figure.add_scatter(
            x=curve.thresholds,
            y=values,
            mode="lines",
            name=name,
            line={"color": colour, "width": 2, "dash": dash},
            hovertemplate="at %{x:.2f}: %{y:.3f}<extra>" + name + "</extra>",
        )
    if chosen is not None:
        add_reference(figure, palette, "", x=chosen)
    top = float(max(curve.all.max(), curve.model.max()))
    figure.update_yaxes(range=[-0.25 * top, 1.15 * top])
    figure.update_xaxes(range=[0, 1])
    return figure
