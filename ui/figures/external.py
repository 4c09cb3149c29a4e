"""Images of several cohorts: the forest of their AUROCs with mean and prediction interval, and the matrix of trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from core.figure_text import ABSENT, interval_text, number_text
from core.reports.external_page import list_forest
from core.reports.marks import add_forest, add_reference
from core.reports.palette import Palette, new_figure
from ui.figures.folds import ROW_PX

LONGEST = 34
"""Characters of a cohort's name."""


def draw_forest(result: Mapping[str, Any], palette: Palette) -> go.Figure:
    """Every cohort's AUROC with its interval, the mean, and where a further cohort's would lie."""
    rows = list_forest(result)
    figure = new_figure(palette, x="AUROC by patient", height=100 + ROW_PX * len(rows))
    for kind, colour, symbol, size in (("cohort", palette.text, "square", 8), ("mean", palette.accent, "diamond", 13)):
        shown = [row for row in rows if row["kind"] == kind]
        add_forest(figure, [_short(row["name"]) for row in shown], shown, colour, symbol, size=size)
    for row in rows:
        if row["kind"] == "prediction":
            figure.add_scatter(
                x=[row["low"], row["high"]],
                y=[_short(row["name"])] * 2,
                mode="lines",
                line={"color": palette.accent, "width": 3, "dash": "dot"},
                text=[row["text"]] * 2,
                hovertemplate="%{y}: %{text}<extra></extra>",
                showlegend=False,
            )
    add_reference(figure, palette, x=0.5)
    lows = [row["low"] if row["low"] is not None else row["value"] for row in rows if row["kind"] != "prediction"]
    figure.update_xaxes(range=[max(-0.02, min([0.45, *lows]) - 0.03), 1.02])
    names = [_short(row["name"]) for row in rows]
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], showgrid=False, ticks="", automargin=True)
    return figure


def draw_matrix(cells: Sequence[Mapping[str, Any]], palette: Palette) -> go.Figure:
    """AUROC by what was trained on (rows) and evaluated on (columns); a training's own test patients are marked."""
    rows = list(dict.fromkeys(cell["trained_on"] for cell in cells))
    columns = list(dict.fromkeys(cell["tested_on"] for cell in cells))
    found = {(cell["trained_on"], cell["tested_on"]): cell for cell in cells}
    grid = [[found.get((row, column)) for column in columns] for row in rows]
    figure = new_figure(palette, x="evaluated on", y="trained on", height=120 + 46 * len(rows))
    figure.add_heatmap(
        z=[[cell["auroc"]["value"] if cell else None for cell in line] for line in grid],
        x=[_short(name, 16) for name in columns],
        y=[_short(name, 16) for name in rows],
        zmin=0.4,
        zmax=1.0,
        colorscale=[[0.0, palette.surface], [1.0, palette.accent]],
        showscale=False,
        xgap=3,
        ygap=3,
        text=[[_cell_text(cell) for cell in line] for line in grid],
        texttemplate="%{text}",
        textfont={"size": 12, "color": palette.text},
        hovertemplate="trained on %{y}, evaluated on %{x}: %{text}<extra></extra>",
    )
    figure.update_xaxes(showgrid=False, ticks="", side="top")
    figure.update_yaxes(showgrid=False, ticks="", autorange="reversed")
    return figure


def _cell_text(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return ""
    mark = "*" if cell["kind"] == "own test patients" else ""
    auroc = cell["auroc"]
    if auroc["value"] is None:
        return ABSENT
    limits = interval_text(auroc["low"], auroc["high"])
    return f"{number_text(auroc['value'])}{mark}" + (f"<br>{limits}" if limits else "")


def _short(name: str, most: int = LONGEST) -> str:
    return escape(name if len(name) <= most else f"{name[: most - 1]}…", quote=False)
