"""How good a run is: ROC and precision-recall curve, confusion matrix, calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from core.evaluation.curves import Curve
from core.reports.marks import add_diagonal, add_reference, show_unit_square
from core.reports.palette import Palette, new_figure


def draw_roc(curve: Curve, caption: str, palette: Palette, *, positive: str) -> go.Figure:
    """Sensitivity against 1 - specificity, chance as the diagonal; `caption` is the AUROC with interval and n."""
    figure = new_figure(palette, x="1 − specificity", y=f"sensitivity for {positive}", height=320)
    add_diagonal(figure, palette)
    _add_curve(figure, curve, palette, "1 − specificity %{x:.3f}, sensitivity %{y:.3f}")
    return _finish(figure, caption, palette)


def draw_precision_recall(
    curve: Curve, caption: str, palette: Palette, *, positive: str, prevalence: float
) -> go.Figure:
    """Precision against recall, the share of positives as the line that guessing reaches."""
    figure = new_figure(palette, x=f"recall of {positive}", y="precision", height=320)
    add_reference(figure, palette, f"share of {positive} {prevalence:.2f}", y=prevalence, position="top left")
    _add_curve(figure, curve, palette, "recall %{x:.3f}, precision %{y:.3f}")
    return _finish(figure, caption, palette)


def draw_confusion(matrix: ArrayLike, class_names: Sequence[str], caption: str, palette: Palette) -> go.Figure:
    """What is true against what was said, as counts with the share of each true class.

    Parameters
    ----------
    matrix
        (classes, classes): true class first.
    class_names
        Their names.
    caption
        Operating point and n.
    palette
        The theme's colours.
    """
    counts: NDArray[np.int64] = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(palette, x="predicted", y="true", height=320)
    figure.add_heatmap(
        z=shares,
        x=list(class_names),
        y=list(class_names),
        zmin=0,
        zmax=1,
        colorscale=[[0, palette.surface], [1, palette.accent]],
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="true %{y}, predicted %{x}: %{z:.1%}<extra></extra>",
    )
    for row, true in enumerate(class_names):
        for column, said in enumerate(class_names):
            share = float(shares[row, column])
            figure.add_annotation(
                x=said,
                y=true,
                text=f"<b>{counts[row, column]}</b><br>{share:.0%}",
                showarrow=False,
                font={"size": 14, "color": palette.surface if share > 0.55 else palette.text},
            )
    figure.update_xaxes(showgrid=False, ticks="")
    figure.update_yaxes(showgrid=False, ticks="", autorange="reversed", tickangle=-90)
    figure.update_layout(title=_title(caption, palette))
    return figure


def _add_curve(figure: go.Figure, curve: Curve, palette: Palette, words: str) -> None:
    figure.add_scatter(
        x=curve.x,
        y=curve.y,
        mode="lines",
        line={"color": palette.accent, "width": 2, "shape": "linear"},
        customdata=np.nan_to_num(curve.thresholds, posinf=1.0),
        hovertemplate=words + "<extra></extra>",
        showlegend=False,
    )


def _finish(figure: go.Figure, caption: str, palette: Palette) -> go.Figure:
    show_unit_square(figure)
    figure.update_layout(title=_title(caption, palette))
    return figure


def _title(caption: str, palette: Palette) -> dict[str, object]:
    return {
        "text": caption,
        "font": {"size": 12, "color": palette.text},
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": 0.99,
        "yanchor": "top",
    }
