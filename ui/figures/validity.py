"""Images of the Validity page: what chance does to a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from scipy.special import ndtr

from core.evaluation.figure import Figure
from core.evaluation.metrics import Floats
from core.figure_text import figure_text
from core.reports.marks import add_forest, add_reference, error_bars
from core.reports.palette import Palette, new_figure


def draw_studies(studies: Floats, truth: float, palette: Palette) -> go.Figure:
    """The same model evaluated on new patients over and over: each study's AUROC with its interval, the truth as a line.

    Parameters
    ----------
    studies
        (times, 3): value, low, high.
    truth
        The AUROC that all of them estimate.
    palette
        The theme's colours.
    """
    ordered = studies[np.argsort(studies[:, 0])]
    missed = (ordered[:, 1] > truth) | (ordered[:, 2] < truth)
    figure = new_figure(palette, x="study (sorted)", y="AUROC by patient", height=340)
    for rows, colour, name in ((~missed, palette.accent, "holds the truth"), (missed, palette.error, "misses it")):
        place = np.flatnonzero(rows) + 1
        if not len(place):
            continue
        value, low, high = ordered[rows].T
        figure.add_scatter(
            x=place,
            y=value,
            mode="markers",
            name=f"interval {name}",
            marker={"color": colour, "size": 6},
            error_y=error_bars(value, low, high, colour, thickness=1.5),
            hovertemplate="AUROC %{y:.3f}<extra></extra>",
        )
    figure.add_hline(y=truth, line={"color": palette.text, "width": 1})
    if truth > 0.52:
        add_reference(figure, palette, y=0.5)
    figure.update_yaxes(range=[max(-0.02, float(ordered[:, 1].min()) - 0.03), 1.02])
    return figure


def draw_power(patients: Floats, curves: Mapping[str, Floats], own: Mapping[str, int], palette: Palette) -> go.Figure:
    """Chance to find an effect against the number of patients, with the visitor's own numbers as lines.

    Parameters
    ----------
    patients
        (points,).
    curves
        Power by name, each (points,).
    own
        Numbers of patients to mark, by what they are.
    palette
        The theme's colours.
    """
    figure = new_figure(palette, x="patients evaluated", y="chance to see it (power)", height=360)
    styles = ("solid", "dot", "dashdot", "dash")
    for number, (name, power) in enumerate(curves.items()):
        figure.add_scatter(
            x=patients,
            y=power,
            mode="lines",
            name=name,
            line={"color": palette.accent, "width": 2, "dash": styles[number % len(styles)]},
            hovertemplate="%{x:.0f} patients: %{y:.0%}<extra>" + name + "</extra>",
        )
    add_reference(figure, palette, "80%", y=0.8)
    for number, (name, count) in enumerate(own.items()):
        figure.add_vline(
            x=count,
            line={"color": palette.methylated, "width": 2},
            annotation={
                "text": f"{name}: {count}",
                "font": {"size": 11, "color": palette.text},
                "y": 0.98 - 0.1 * number,
                "yref": "paper",
            },
            annotation_position="right",
        )
    ticks = [
        count for count in (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000) if patients[0] <= count <= patients[-1]
    ]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[str(count) for count in ticks])
    for shape, annotation in zip(figure.layout.shapes, figure.layout.annotations, strict=False):
        # On a logarithmic axis plotly takes the lines' places as they are, but the notes' as exponents.
        if shape.x0 == shape.x1 and annotation.x is not None and shape.x0 in own.values():
            annotation.x = float(np.log10(shape.x0))
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return figure


def draw_dial(runs: Sequence[tuple[str, float, float, float | None, float | None]], palette: Palette) -> go.Figure:
    """The best reachable AUROC against the synthetic cohort's signal, and what runs reached.

    `runs` are (name, signal, AUROC, low, high).
    """
    signal = np.linspace(0, 5, 101)
    figure = new_figure(palette, x="signal (standard deviations between the classes)", y="AUROC by patient", height=320)
    figure.add_scatter(
        x=signal,
        y=ndtr(signal / np.sqrt(2)),
        mode="lines",
        name="best possible, Φ(signal/√2)",
        line={"color": palette.muted, "width": 2, "dash": "dash"},
        hovertemplate="signal %{x:.2f}: at best %{y:.3f}<extra></extra>",
        showlegend=True,
    )
    for number, (name, dial, value, low, high) in enumerate(runs):
        figure.add_scatter(
            x=[dial],
            y=[value],
            mode="markers",
            name="runs",
            legendgroup="runs",
            showlegend=number == 0,
            marker={"color": palette.accent, "size": 8},
            error_y=error_bars([value], [low], [high], palette.accent),
            hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>",
        )
    lowest = min((low for _, _, _, low, _ in runs if low is not None), default=0.5)
    figure.update_yaxes(range=[min(0.4, lowest - 0.05), 1.02])
    return figure


def draw_noise_course(course: Floats, palette: Palette) -> go.Figure:
    """AUROC by epoch of a model that knows nothing, its best epoch marked: (epochs,)."""
    figure = new_figure(palette, x="epoch", y="validation AUROC", height=300)
    epochs = np.arange(1, len(course) + 1)
    figure.add_scatter(
        x=epochs, y=course, mode="lines", line={"color": palette.validation, "width": 2}, showlegend=False,
        hovertemplate="epoch %{x}: %{y:.3f}<extra></extra>",
    )  # fmt: skip
    best = int(course.argmax())
    figure.add_scatter(
        x=[best + 1], y=[course[best]], mode="markers+text", text=[f" {course[best]:.2f}, reported"],
        textposition="middle right" if best < len(course) * 0.6 else "middle left", marker={"color": palette.methylated, "size": 10},
        showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    # The course goes to and fro about this line, so that a word beside it would lie on the course.
    figure.add_scatter(
        x=[0, len(course) + 1], y=[0.5, 0.5], mode="lines", line={"color": palette.muted, "width": 1, "dash": "dash"},
        name="its true AUROC: 0.5", showlegend=True, hoverinfo="skip",
    )  # fmt: skip
    figure.update_xaxes(range=[0, len(course) + 1])
    figure.update_yaxes(range=[min(0.2, float(course.min()) - 0.05), 1.02])
    return figure


def draw_optimism(chosen: Floats, untouched: Floats, palette: Palette) -> go.Figure:
    """How the best epoch's AUROC is spread on the patients that chose it, and on others; both of shape (draws,)."""
    figure = new_figure(palette, x="AUROC of the chosen epoch", y="share of repetitions", height=300)
    edges = {"start": 0.0, "end": 1.0, "size": 0.05}
    for values, name, colour in (
        (untouched, "on patients that chose nothing", palette.unmethylated),
        (chosen, "on the patients that chose it", palette.methylated),
    ):
        figure.add_histogram(
            x=values,
            xbins=edges,
            histnorm="probability",
            name=f"{name}: mean {values.mean():.2f}",
            marker={"color": colour},
            opacity=0.65,
            hovertemplate="%{x}: %{y:.0%}<extra></extra>",
        )
    figure.update_layout(barmode="overlay", bargap=0.02)
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(tickformat=".0%")
    return figure


def draw_pairs(pairs: Sequence[tuple[str, Figure, Figure]], palette: Palette, names: tuple[str, str]) -> go.Figure:
    """Two figures of the same thing joined by a line, one line per name: what was chosen on, and what chose nothing.

    Every figure has a value; its interval and n are told where the mouse rests.
    """
    figure = new_figure(palette, x="", y="AUROC by patient", height=320)
    for name, first, second in pairs:
        figure.add_scatter(
            x=list(names),
            y=[first.value, second.value],
            mode="lines+markers",
            line={"color": palette.muted, "width": 1},
            marker={"color": [palette.methylated, palette.unmethylated], "size": 8},
            text=[figure_text(first, "patients"), figure_text(second, "patients")],
            hovertemplate=f"{name}: %{{text}}<extra></extra>",
            showlegend=False,
        )
    values = np.array([(first.value, second.value) for _, first, second in pairs], dtype=np.float64)
    means = values.mean(axis=0).tolist()
    figure.add_scatter(
        x=list(names),
        y=means,
        mode="lines+markers+text",
        text=[f"{means[0]:.3f}  ", f"  {means[1]:.3f}"],
        textposition=["middle left", "middle right"],  # outside, where no line passes
        line={"color": palette.accent, "width": 3},
        marker={"color": palette.accent, "size": 11},
        name=f"mean of {len(pairs)}",
        hoverinfo="skip",
    )
    add_reference(figure, palette, "chance", y=0.5)
    figure.update_yaxes(range=[min(0.38, float(values.min()) - 0.05), 1.05])
    figure.update_xaxes(range=[-0.4, 1.4])
    return figure


def draw_moves(
    rows: Sequence[tuple[str, Figure]],
    palette: Palette,
    *,
    x: str = "patients whose class changes",
    chance: float | None = None,
) -> go.Figure:
    """A figure with its interval for each name, the first at the top."""
    figure = new_figure(palette, x=x, height=90 + 32 * len(rows))
    places = list(range(len(rows), 0, -1))
    add_forest(figure, places, [one for _, one in rows], palette.accent, "circle", name=x, unit="patients", size=10)
    if chance is not None:
        add_reference(figure, palette, "guessing", x=chance)
    figure.update_xaxes(range=[-0.02, 1.02])
    names = [name for name, _ in rows]
    figure.update_yaxes(tickvals=places, ticktext=names, range=[0.4, len(rows) + 0.9], automargin=True)
    figure.update_layout(showlegend=False)
    return figure
