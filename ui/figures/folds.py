"""Images of a cross-validation: each fold with its interval, the mean below them, and what the candidates did inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from core.figure_text import figure_text
from core.reports.marks import add_forest, add_reference, interval_bars
from core.reports.palette import Palette, new_figure

ROW_PX = 24


def draw_folds(result: dict[str, Any], palette: Palette) -> go.Figure:
    """A forest plot: every fold's AUROC with its interval, each seed's mean where there are several, and the mean of all."""
    folds = result["folds"]
    several = len(result["by_seed"]) > 1
    rows: list[tuple[str, dict[str, Any]]] = []
    for one in result["by_seed"]:
        prefix = f"seed {one['seed']}, " if several else ""
        rows += [
            (f"{prefix}fold {fold['fold']} (n = {fold['auroc']['n']})", fold["auroc"])
            for fold in folds
            if fold["seed"] == one["seed"]
        ]
    means = [(f"seed {one['seed']}: mean of its folds", one["auroc"]) for one in result["by_seed"]] if several else []
    whole = [(f"mean within folds (n = {result['patient']['auroc']['n']})", result["patient"]["auroc"])]
    names = [name for name, _ in (*rows, *means, *whole)]
    figure = new_figure(palette, x="AUROC by patient", height=90 + ROW_PX * len(names))
    for part, colour, symbol, size in (
        (rows, palette.muted, "square", 7),
        (means, palette.text, "diamond", 9),
        (whole, palette.accent, "diamond", 13),
    ):
        add_forest(figure, [name for name, _ in part], [one for _, one in part], colour, symbol, size=size)
    add_reference(figure, palette, x=0.5)
    lows = [one["low"] if one["low"] is not None else one["value"] for _, one in (*rows, *means, *whole)]
    known = [low for low in lows if low is not None]
    figure.update_xaxes(range=[max(-0.02, min([0.45, *known]) - 0.03), 1.02])
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], showgrid=False, ticks="", automargin=True)
    return figure


def draw_candidates(result: dict[str, Any], titles: Sequence[str], palette: Palette) -> go.Figure:
    """What each candidate reached on the inner validation patients of each fold; the one that was chosen is marked."""
    folds = result["folds"]
    several = len(result["by_seed"]) > 1
    names = [f"seed {fold['seed']}, fold {fold['fold']}" if several else f"fold {fold['fold']}" for fold in folds]
    figure = new_figure(palette, y="AUROC inside (validation)", height=320)
    symbols = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")
    for number, title in enumerate(titles):
        values = [fold["inner_auroc"][number] for fold in folds]
        # A cross-validation of an older version has no intervals here.
        inner = [
            fold["inner"][number] if "inner" in fold else {"value": value}
            for fold, value in zip(folds, values, strict=True)
        ]
        chosen = [fold["candidate"] == number + 1 for fold in folds]
        figure.add_scatter(
            x=names,
            y=values,
            mode="markers",
            name=title,
            marker={
                "symbol": symbols[number % len(symbols)],
                "size": [13 if won else 8 for won in chosen],
                "color": [palette.accent if won else palette.muted for won in chosen],
                "line": {"width": 1, "color": palette.surface},
            },
            error_y=interval_bars(inner, palette.muted),
            text=[
                f"{figure_text(one)}, {'chosen' if won else 'not chosen'}"
                for one, won in zip(inner, chosen, strict=True)
            ],
            offsetgroup=str(number),
            hovertemplate="%{x}: %{text}<extra>" + title + "</extra>",
        )
    figure.update_layout(scattermode="group")  # side by side: their intervals would lie on each other
    figure.update_xaxes(showgrid=False, ticks="")
    return figure
