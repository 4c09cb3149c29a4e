"""A run's course: loss, accuracy, AUROC, gradient and learning rate by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from core.reports.marks import add_band, add_reference
from core.reports.palette import Palette, new_figure
from core.runs.records import EpochRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveLook:
    """How curves are drawn; the figures beside them are never smoothed."""

    smoothing: float = 0.0
    """Weight of what came before, 0 up to but not 1: 0 draws the values alone."""
    log: bool = False
    """Loss and gradient norm on a logarithmic axis."""


PLAIN = CurveLook()


def smooth(values: Sequence[float | None], weight: float) -> list[float | None]:
    """Return an exponential moving average that begins at the first value, as TensorBoard draws it; None stays None."""
    smoothed: list[float | None] = []
    mean, share = 0.0, 0.0
    for value in values:
        if value is not None:
            mean, share = weight * mean + (1 - weight) * value, weight * share + (1 - weight)
        smoothed.append(None if value is None else mean / share)
    return smoothed


def draw_loss(records: Sequence[EpochRecord], epochs: int, palette: Palette, look: CurveLook = PLAIN) -> go.Figure:
    """Cross-entropy of training and validation by epoch, the validation's with its 95% interval over patients as a band."""
    figure = _by_epoch(epochs, palette, "cross-entropy loss")
    add_interval_band(figure, records, "val_loss", palette.validation)
    _add_line(figure, records, [record.train_loss for record in records], "training", palette.train, look, dash="dot")
    _add_line(figure, records, [record.val_loss for record in records], "validation", palette.validation, look)
    _scale(figure, look)
    return _mark_best(figure, records, epochs, palette)


def draw_accuracy(
    records: Sequence[EpochRecord],
    epochs: int,
    palette: Palette,
    majority: float | None = None,
    look: CurveLook = PLAIN,
) -> go.Figure:
    """Accuracy by slice, with what always guessing the commoner class reaches as a line, and the band of :func:`draw_loss`."""
    figure = _by_epoch(epochs, palette, "accuracy by slice")
    add_interval_band(figure, records, "val_accuracy", palette.validation)
    _add_line(
        figure, records, [record.train_accuracy for record in records], "training", palette.train, look, dash="dot"
    )
    _add_line(figure, records, [record.val_accuracy for record in records], "validation", palette.validation, look)
    if majority is not None:
        add_reference(figure, palette, f"commoner class {majority:.3f}", y=majority, colour=palette.warning)
    figure.update_yaxes(range=[-0.03, 1.03])
    return _mark_best(figure, records, epochs, palette)


def add_interval_band(
    figure: go.Figure, records: Sequence[EpochRecord], field: str, colour: str, name: str = "95% interval"
) -> None:
    """The 95% interval of a field of the records ("val_loss", ...), epoch by epoch, as a band; nothing where there is none."""
    banded = [
        (record.epoch, low, high)
        for record in records
        if (low := getattr(record, f"{field}_low")) is not None
        and (high := getattr(record, f"{field}_high")) is not None
    ]
    if banded:
        epochs, lows, highs = zip(*banded, strict=True)
        add_band(figure, epochs, lows, highs, colour, name=name)


def draw_auroc(records: Sequence[EpochRecord], epochs: int, palette: Palette, look: CurveLook = PLAIN) -> go.Figure:
    """AUROC by patient, the validation's with its 95% interval as a band."""
    figure = _by_epoch(epochs, palette, "AUROC by patient")
    add_interval_band(figure, records, "val_patient_auroc", palette.validation)
    _add_line(
        figure, records, [record.train_patient_auroc for record in records], "training", palette.train, look, dash="dot"
    )
    _add_line(figure, records, [record.val_patient_auroc for record in records], "validation", palette.validation, look)
    add_reference(figure, palette, y=0.5, colour=palette.warning)
    figure.update_yaxes(range=[-0.03, 1.03])
    return _mark_best(figure, records, epochs, palette)


def draw_optimiser(records: Sequence[EpochRecord], epochs: int, palette: Palette, look: CurveLook = PLAIN) -> go.Figure:
    """Gradient norm (mean of an epoch's steps, and up to the largest), and the learning rate on an axis of its own."""
    figure = _by_epoch(epochs, palette, "gradient norm")
    known = [
        (record.epoch, record.gradient_norm, record.gradient_norm_max)
        for record in records
        if record.gradient_norm is not None and record.gradient_norm_max is not None
    ]
    if known:
        there, means, largest = zip(*known, strict=True)
        add_band(figure, there, means, largest, palette.accent)
    _add_line(figure, records, [record.gradient_norm for record in records], "gradient norm", palette.accent, look)
    figure.add_scatter(
        x=[record.epoch for record in records],
        y=[record.learning_rate for record in records],
        yaxis="y2",
        mode="lines",
        line={"color": palette.muted, "shape": "hv", "width": 2, "dash": "dot"},
        hovertemplate="%{y:.3g}",
        name="learning rate",
    )
    _scale(figure, look)
    figure.update_layout(
        yaxis2={
            **figure.layout.yaxis.to_plotly_json(),
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "rangemode": "tozero",
            "type": "linear",
            "tickmode": "auto",
            "nticks": 4,
            "tickformat": ".1~e",
            "title": {"text": "learning rate", "font": {"size": 12, "color": palette.text}, "standoff": 8},
        }
    )
    return _mark_best(figure, records, epochs, palette)


def _by_epoch(epochs: int, palette: Palette, title: str) -> go.Figure:
    figure = new_figure(palette, x="epoch", y=title, height=250)
    figure.update_xaxes(range=[0.5, max(epochs, 1) + 0.5], tick0=0, dtick=max(1, round(epochs / 8)), tickformat="d")
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(unifiedhovertitle={"text": "epoch %{x}"})
    return figure


def _scale(figure: go.Figure, look: CurveLook) -> None:
    if look.log:
        figure.update_yaxes(type="log", minor={"showgrid": False}, dtick=None)
    else:
        figure.update_yaxes(rangemode="tozero")


def _add_line(
    figure: go.Figure,
    records: Sequence[EpochRecord],
    values: Sequence[float | None],
    name: str,
    colour: str,
    look: CurveLook,
    dash: str = "solid",
) -> None:
    epochs = [record.epoch for record in records]
    if look.smoothing:
        line = {"color": colour, "dash": dash, "width": 1}
        figure.add_scatter(
            x=epochs, y=list(values), mode="lines", line=line, opacity=0.35, hoverinfo="skip", showlegend=False
        )
    figure.add_scatter(
        x=epochs,
        y=smooth(values, look.smoothing) if look.smoothing else list(values),
        mode="lines+markers",
        name=name,
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 5},
        hovertemplate="%{y:.4f}",
    )


def _mark_best(figure: go.Figure, records: Sequence[EpochRecord], epochs: int, palette: Palette) -> go.Figure:
    best = max((record.epoch for record in records if record.best), default=None)
    if best is not None:
        side = "left" if best > 0.7 * epochs else "right"
        figure.add_vline(
            x=best,
            line={"color": palette.accent, "width": 1},
            annotation={"text": f"best: {best}", "font": {"size": 11, "color": palette.accent}},
            annotation_position=f"bottom {side}",
        )
    return figure
