"""An evaluation on one level, patients or slices: figures with n and intervals, ROC, precision-recall, confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core.evaluation.aggregate import log_odds
from core.evaluation.curves import confusion_matrix, precision_recall_curve, roc_curve
from core.evaluation.figure import Figure
from core.evaluation.figures import FIGURE_TITLES, predict_classes
from core.figure_text import figure_text, interval_text, number_text
from ui.figures.evaluation import draw_confusion, draw_precision_recall, draw_roc
from ui.widgets.theme import current_palette, draw


def show_level(
    labels: NDArray[np.int64],
    logits: NDArray[np.float64],
    figures: Mapping[str, Figure],
    *,
    unit: str,
    class_names: Sequence[str],
    positive_class: int,
    threshold: float,
    temperature: float,
    key: str,
) -> None:
    """Draw one level of an evaluation.

    Parameters
    ----------
    labels, logits
        Of shape (rows,) and (rows, classes).
    figures
        From :func:`core.evaluation.figures.evaluate`.
    unit
        "patients" or "slices".
    class_names, positive_class, threshold, temperature
        As the checkpoint says.
    key
        Tells this level's charts from others on the page.
    """
    palette = current_palette()
    predicted = predict_classes(logits, positive_class=positive_class, threshold=threshold, temperature=temperature)
    matrix = confusion_matrix(labels, predicted, len(class_names))
    positive, odds = labels == positive_class, log_odds(logits, positive_class)
    charts = []
    if len(class_names) == 2 and 0 < positive.sum() < len(positive):
        name = class_names[positive_class]
        charts = [
            (
                "ROC",
                draw_roc(roc_curve(positive, odds), _caption("AUROC", figures["auroc"], unit), palette, positive=name),
            ),
            (
                "precision-recall",
                draw_precision_recall(
                    precision_recall_curve(positive, odds),
                    _caption("AUPRC", figures["auprc"], unit),
                    palette,
                    positive=name,
                    prevalence=float(positive.mean()),
                ),
            ),
        ]
    operating = (
        f"at threshold {threshold:.2f}, n = {len(labels)} {unit}"
        if len(class_names) == 2
        else f"n = {len(labels)} {unit}"
    )
    charts.append(("confusion", draw_confusion(matrix, class_names, operating, palette)))
    with st.grid(3, min_column_width=280):
        for title, figure in charts:
            draw(figure, key=f"{key}.{unit}.{title}", alt=f"{title} by {unit}")
    show_figures(figures, unit)


def show_figures(figures: Mapping[str, Figure], unit: str) -> None:
    """Every figure with its interval, n and how the interval was made."""
    rows = [
        {
            "figure": FIGURE_TITLES.get(name, name),
            "value": number_text(figure.value),
            "95% interval": interval_text(figure.low, figure.high),
            f"n ({unit})": figure.n,
            "how": figure.method or figure.reason,
        }
        for name, figure in figures.items()
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content",
        column_config={"figure": st.column_config.TextColumn(width=320)},
    )


def _caption(name: str, figure: Figure, unit: str) -> str:
    return f"{name} {figure_text(figure, unit)}"
