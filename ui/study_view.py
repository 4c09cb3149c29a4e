"""What was recognised in a study, as a table a person can check."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.data.study import Fault, Study
from ui.slices import SliceStack
from ui.text import plain

__all__ = ["show_faults", "show_notes", "show_recognised"]

FAULTS_SHOWN = 200


def show_recognised(study: Study, stacks: Sequence[SliceStack]) -> None:
    """One row per series: sequence, plane, slices, blank ones, spacing, and why it is what it is."""
    by_sequence = {stack.sequence: stack for stack in stacks}
    rows = []
    for series in study.series:
        stack = by_sequence.get(series.sequence)
        own = None if stack is None or stack.on_grid else stack
        spacing = series.spacing_mm
        rows.append(
            {
                "sequence": str(series.sequence),
                "plane": str(series.plane),
                "slices": len(own.pixels) if own else series.slice_total or len(series.files),
                "blank": int(own.blank.sum()) if own else None,
                "seen by the model": len(stack.probabilities) if stack else 0,
                "matrix": f"{series.rows} × {series.columns}",
                "spacing (mm)": "" if spacing is None else " × ".join(f"{value:.2f}" for value in spacing),
                "recognised by": series.sequence_reason,
                "description": series.description,
            }
        )
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "spacing (mm)": st.column_config.TextColumn(help="Between slices × between rows × between columns."),
            "blank": st.column_config.NumberColumn(help="Slices that hold nothing; never shown to the model."),
        },
    )


def show_faults(faults: Sequence[Fault], title: str = "files could not be used") -> None:
    """Name what was left out, and why."""
    if not faults:
        return
    with st.expander(f"{len(faults)} {title}", icon=":material/report:"):
        shown = [{"file": fault.path, "reason": fault.reason} for fault in faults[:FAULTS_SHOWN]]
        st.dataframe(pd.DataFrame(shown), hide_index=True)
        if len(faults) > FAULTS_SHOWN:
            st.caption(f"and {len(faults) - FAULTS_SHOWN} more")


def show_notes(notes: Sequence[str]) -> None:
    """What was decided on the way and a person should know."""
    if notes:
        st.caption(":material/info: " + " ".join(plain(note, 400) for note in notes))
