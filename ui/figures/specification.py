"""The specification curve with its matrix of choices."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from core.evaluation.specification import SpecificationCurve
from core.reports.marks import interval_bars
from core.reports.palette import Palette, new_figure


def draw_specification(curve: SpecificationCurve, palette: Palette) -> go.Figure:
    """Every combination of choices in order of its AUROC, and below each point a mark for what was chosen."""
    names = list(curve.cells[0].choices)
    levels = [(name, value) for name in names for value in sorted({cell.choices[name] for cell in curve.cells})]
    rows = [f"{name}: {value}" for name, value in levels]
    height = 300 + 20 * len(rows) + 40
    figure = new_figure(palette, height=height)
    figure.set_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.04, row_heights=[300, 20 * len(rows) + 40]
    )
    place = np.arange(1, len(curve.cells) + 1)
    known = [cell for cell in curve.cells if cell.figure.value is not None]
    value = np.array([cell.figure.value for cell in known], dtype=np.float64)
    figure.add_scatter(
        x=place, y=value, mode="markers", marker={"color": palette.accent, "size": 7}, showlegend=False,
        error_y=interval_bars([cell.figure for cell in known], palette.muted),
        text=[", ".join(f"{name} {cell.choices[name]}" for name in names) for cell in known],
        hovertemplate="%{y:.3f}<br>%{text}<extra></extra>", row=1, col=1,
    )  # fmt: skip
    for number, (name, level) in enumerate(levels):
        inside = np.array([cell.choices[name] == level for cell in known])
        for chosen, colour, size in ((~inside, palette.grid, 5), (inside, palette.text, 8)):
            figure.add_scatter(
                x=place[chosen], y=np.full(int(chosen.sum()), number), mode="markers",
                marker={"color": colour, "size": size, "symbol": "square"}, showlegend=False, hoverinfo="skip",
                row=2, col=1,
            )  # fmt: skip
    # Both lines may lie on each other; their names stand in the legend, where they cannot overlap.
    for reference, line, name in (
        (0.5, {"color": palette.muted, "width": 1, "dash": "dash"}, "chance 0.5"),
        (curve.median, {"color": palette.methylated, "width": 1}, f"median {curve.median:.3f}"),
    ):
        figure.add_scatter(
            x=[0, len(curve.cells) + 1], y=[reference, reference], mode="lines", line=line, name=name, showlegend=True,
            hoverinfo="skip", row=1, col=1,
        )  # fmt: skip
    figure.update_xaxes(range=[0, len(curve.cells) + 1])
    font = {"size": 11, "color": palette.text}
    figure.update_yaxes(title={"text": "AUROC by patient"}, tickfont=font, gridcolor=palette.grid, row=1, col=1)
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=rows, range=[len(rows) - 0.2, -0.8], showgrid=False, zeroline=False,
        tickfont=font, automargin=True, row=2, col=1,
    )  # fmt: skip
    figure.update_xaxes(showticklabels=False, showgrid=False, zeroline=False)
    figure.update_xaxes(title={"text": "combination of choices, worst first", "font": font}, row=2, col=1)
    return figure
