"""Figures of a comparison: learning curves, ROC, reliability, differences with their intervals.

The page and the report draw with the same functions; whatever comes from a run is escaped, for plotly reads markup.
"""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from core.experiments.comparison.comparison import ComparedRun, Comparison
from core.figure_text import figure_text
from core.reports.marks import add_diagonal, add_reference, interval_bars, show_unit_square
from core.reports.palette import Palette, new_figure, run_style
from core.runs.records import EpochRecord

COURSES: dict[str, str] = {
    "val_patient_auroc": "validation AUROC by patient",
    "val_loss": "validation loss (cross-entropy, nats)",
    "val_accuracy": "validation accuracy by slice",
    "val_patient_accuracy": "validation accuracy by patient",
    "train_loss": "training loss (cross-entropy, nats)",
    "train_accuracy": "training accuracy by slice",
    "train_patient_auroc": "training AUROC by patient",
    "learning_rate": "learning rate",
    "gradient_norm": "norm of the gradient",
    "images_per_second": "images per second, training",
    "seconds": "seconds per epoch",
}
"""Fields of an epoch's record that can be laid over each other, and their axis titles."""
LONGEST_LABEL = 40


def has_course(comparison: Comparison, name: str) -> bool:
    """Whether any run's epochs hold a value of that name."""
    return any(_value(record, name) is not None for run in comparison.runs for record in run.epochs)


def draw_courses(comparison: Comparison, name: str, palette: Palette, *, height: int = 360) -> go.Figure:
    """One line per run by epoch, its best epoch marked."""
    figure = new_figure(palette, x="epoch", y=COURSES[name], height=height)
    for index, run in enumerate(comparison.runs):
        colour, dash = run_style(palette, index)
        label = _label(run)
        figure.add_scatter(
            x=[record.epoch for record in run.epochs],
            y=[_value(record, name) for record in run.epochs],
            mode="lines+markers",
            name=label,
            line={"color": colour, "dash": dash, "width": 2},
            marker={"size": 4},
            hovertemplate=f"{label}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
        )
        best = run.best
        if best is not None and _value(best, name) is not None:
            figure.add_scatter(
                x=[best.epoch],
                y=[_value(best, name)],
                mode="markers",
                marker={"color": colour, "size": 11, "symbol": "diamond"},
                hovertemplate=f"{label}, best epoch %{{x}}: %{{y:.4g}}<extra></extra>",
                showlegend=False,
            )
    longest = max((record.epoch for run in comparison.runs for record in run.epochs), default=1)
    figure.update_xaxes(tick0=0, dtick=max(1, round(longest / 8)), tickformat="d")
    if "auroc" in name or "accuracy" in name:
        figure.update_yaxes(range=[-0.03, 1.03])
    if "auroc" in name:
        add_reference(figure, palette, y=0.5, colour=palette.warning)
    return figure


def draw_roc_of_runs(comparison: Comparison, palette: Palette, *, height: int = 420) -> go.Figure:
    """ROC curves by patient, the AUROC with interval and n in each name; chance as the diagonal."""
    figure = new_figure(palette, x="1 − specificity", y="sensitivity", height=height)
    add_diagonal(figure, palette)
    for index, run in enumerate(comparison.runs):
        curve = run.roc()
        if curve is None or run.evaluation is None:
            continue
        colour, dash = run_style(palette, index)
        area = run.evaluation.patient["auroc"]
        figure.add_scatter(
            x=curve.x,
            y=curve.y,
            mode="lines",
            name=f"{_label(run)}: {figure_text(area)}",
            line={"color": colour, "dash": dash, "width": 2},
            hovertemplate=f"{_label(run)}: 1 − specificity %{{x:.3f}}, sensitivity %{{y:.3f}}<extra></extra>",
        )
    return _square(figure)


def draw_reliability_of_runs(comparison: Comparison, palette: Palette, *, height: int = 420) -> go.Figure:
    """Probability said against share observed, by patient, with the intervals there are; the diagonal keeps every promise."""
    figure = new_figure(palette, x="probability of the positive class", y="share that was positive", height=height)
    add_diagonal(figure, palette)
    for index, run in enumerate(comparison.runs):
        bins = run.reliability()
        if bins is None:
            continue
        colour, dash = run_style(palette, index)
        figure.add_scatter(
            x=bins.promised,
            y=bins.observed,
            mode="markers+lines",
            name=f"{_label(run)}, n = {int(bins.counts.sum())}",
            line={"color": colour, "dash": dash, "width": 1},
            marker={"color": colour, "size": 8},
            text=[figure_text(one, "patients") for one in bins.figures],
            error_y=interval_bars(bins.figures, colour),
            hovertemplate=f"{_label(run)}: said %{{x:.3f}}, was %{{text}}<extra></extra>",
        )
    return _square(figure)


def draw_differences(comparison: Comparison, palette: Palette) -> go.Figure | None:
    """Each run's AUROC less the reference's, with its interval; None where nothing could be paired."""
    paired = [item for item in comparison.differences if item.figure is not None and item.figure.value is not None]
    if not paired:
        return None
    title = f"AUROC by patient less that of {_cut(comparison.reference)}"
    figure = new_figure(palette, x=title, height=90 + 34 * len(paired))
    places = {run.label: index for index, run in enumerate(comparison.runs)}
    for row, item in enumerate(paired):
        assert item.figure is not None
        colour, _ = run_style(palette, places[item.run])
        for interval, width in ((item.adjusted, 1), (item.figure, 3)):
            if interval is not None and interval.low is not None:
                figure.add_scatter(
                    x=[interval.low, interval.high], y=[row, row], mode="lines",
                    line={"color": colour, "width": width}, hoverinfo="skip", showlegend=False,
                )  # fmt: skip
        figure.add_scatter(
            x=[item.figure.value],
            y=[row],
            mode="markers",
            marker={"color": colour, "size": 10, "symbol": "diamond-open" if item.leaky else "diamond"},
            hovertemplate=f"{_cut(item.run)}: {figure_text(item.figure, signed=True)}<extra></extra>",
            showlegend=False,
        )
    add_reference(figure, palette, x=0, colour=palette.warning)
    ends = [0.0, *(end for trace in figure.data for end in trace.x)]
    margin = 0.06 * (max(ends) - min(ends)) or 0.1
    figure.update_xaxes(range=[min(ends) - margin, max(ends) + margin])
    names = [f"{_cut(item.run)}{' (leaky)' if item.leaky else ''}, n = {item.shared}" for item in paired]
    figure.update_yaxes(
        tickvals=list(range(len(paired))), ticktext=names, range=[len(paired) - 0.5, -0.5], showgrid=False, ticks=""
    )
    return figure


def _value(record: EpochRecord, name: str) -> float | None:
    value: float | None = getattr(record, name, None)
    return value


def _label(run: ComparedRun) -> str:
    return _cut(run.label) + (" (leaky)" if run.leaky else "")


def _cut(text: str) -> str:
    """A run's name that plotly takes for text; one that holds a template's braces is none of ours."""
    short = text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"
    return escape(short).replace("%{", "% {")


def _square(figure: go.Figure) -> go.Figure:
    show_unit_square(figure)
    # Below the plot, one run a line: the names carry the figures and are long.
    figure.update_layout(legend={"orientation": "v", "y": -0.2, "yanchor": "top"})
    return figure
