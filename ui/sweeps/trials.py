"""A search's figures and its trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from core.experiments.search.result import SearchResult, TrialRow
from ui.figures.sweeps import draw_curves, draw_history, draw_importance, draw_parallel
from ui.widgets.state import current_settings
from ui.widgets.theme import current_palette, draw

if TYPE_CHECKING:
    import optuna


TARGETS = {
    "val_patient_auroc": "validation AUROC by patient",
    "val_accuracy": "validation accuracy by slice",
    "val_loss": "validation loss",
}
"""What trials are compared by, in words."""
SHORT_TARGETS = {"val_patient_auroc": "AUROC", "val_accuracy": "accuracy", "val_loss": "loss"}
"""The same where there is room for one word."""
FEWEST_FOR_IMPORTANCE = 6
"""Finished trials before the figure of importance says anything."""


def show_figures(study: optuna.Study, result: SearchResult) -> None:
    """Optuna's figures."""
    finished, palette = result.count("finished"), current_palette()
    target = TARGETS[result.select_on]
    key = f"sweeps.{result.name}.figure"
    with st.grid(2, min_column_width=420):
        if any(row.epochs for row in result.trials):
            with st.container():
                st.markdown("**Validation curves**")
                draw(draw_curves(study, target, palette), key=f"{key}.curves", alt=f"{target} of every trial by epoch")
        if finished > 1:
            with st.container():
                st.markdown("**History**")
                draw(draw_history(study, target, palette), key=f"{key}.history", alt=f"{target} by trial")
            with st.container():
                st.markdown("**Parallel coordinates**")
                short = SHORT_TARGETS[result.select_on]
                draw(draw_parallel(study, short, palette), key=f"{key}.parallel", alt="settings of every trial")
        if finished >= FEWEST_FOR_IMPORTANCE:
            with st.container():
                st.markdown("**Importance**")
                draw(draw_importance(study, target, palette), key=f"{key}.importance", alt="importance of the settings")
    if 0 < finished < FEWEST_FOR_IMPORTANCE:
        st.caption(f"The importance of the settings is drawn from {FEWEST_FOR_IMPORTANCE} finished trials on.")
    if not finished:
        return
    st.caption(
        "The figures are Optuna's. History, coordinates and importance hold finished trials only: pruned ones ended before "
        "they could be compared. With few trials the importance is mostly noise."
    )


def show_trials(result: SearchResult) -> None:
    """Every trial in a row, its run a link."""
    st.markdown("**Trials**")
    number = st.column_config.NumberColumn
    table = pd.DataFrame([_as_row(row) for row in result.trials])
    st.dataframe(
        table if any(row.reason for row in result.trials) else table.drop(columns="why"),
        hide_index=True,
        placeholder="–",
        height="content" if len(result.trials) <= 10 else 390,
        key=f"sweeps.{result.name}.table",
        column_config={
            "val AUROC": number(format="%.3f", help="By patient, of the best epoch, which these patients chose."),
            "low": number("95% low", format="%.3f"),
            "high": number("95% high", format="%.3f"),
            "run": st.column_config.LinkColumn(display_text=r"run=(.+)$", help="Opens the run on the Runs page."),
        },
    )


def _as_row(row: TrialRow) -> dict[str, object]:
    auroc = row.auroc
    here = row.run and (current_settings().runs / row.run).is_dir()
    return {
        "trial": row.number,
        "state": row.state,
        "val AUROC": auroc.value if auroc else None,
        "low": auroc.low if auroc else None,
        "high": auroc.high if auroc else None,
        "n": auroc.n if auroc else None,
        "epochs": row.epochs,
        **{name: short_text(value) for name, value in row.settings.items()},
        "run": f"runs?run={row.run}" if here else None,
        "why": row.reason,
    }


def short_text(value: object) -> str:
    """A setting's value in a few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
