"""Series in this scan in a study, as a table a person can check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from core.data.index.assign import note_choices
from core.data.study import Fault, Study
from core.mri import MRSequence
from ui.widgets.slices import SliceStack
from ui.widgets.text import plain

FAULTS_SHOWN = 200
_COLUMNS = {
    "spacing (mm)": st.column_config.TextColumn(help="Between slices × between rows × between columns."),
    "blank": st.column_config.NumberColumn(help="Slices that hold nothing; never shown to the model."),
}


def show_series_table(study: Study, stacks: Sequence[SliceStack]) -> None:
    """One row per series: sequence, plane, slices, blank ones, spacing, and why it is what it is."""
    st.dataframe(_list_series(study, stacks), hide_index=True, column_config=_COLUMNS)


def edit_sequences(study: Study, stacks: Sequence[SliceStack], key: str) -> dict[str, MRSequence]:
    """The same table, in which a person says what a series is; returns what he changed, by Series UID.

    Above it stands, for each sequence of which there are several series, which is used and why.
    """
    for choice in note_choices([study]):
        st.caption(":material/rule: " + plain(choice, 600))
    rows = _list_series(study, stacks)
    edited = st.data_editor(
        rows,
        hide_index=True,
        key=key,
        disabled=[column for column in rows.columns if column != "sequence"],
        column_config={
            **_COLUMNS,
            "sequence": st.column_config.SelectboxColumn(
                options=[sequence.value for sequence in MRSequence],
                required=True,
                help="Choose what it is; what is unknown is left out.",
            ),
        },
    )
    chosen = zip(study.series, edited["sequence"], strict=True)
    return {series.series_uid: MRSequence(name) for series, name in chosen if name != str(series.sequence)}


def _list_series(study: Study, stacks: Sequence[SliceStack]) -> pd.DataFrame:
    by_series = {stack.series_uid: stack for stack in stacks if not stack.on_grid}
    on_grid = {stack.sequence: stack for stack in stacks if stack.on_grid}
    rows = []
    for series in study.series:
        stack = by_series.get(series.series_uid) or on_grid.get(series.sequence)
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
                "recognized from": series.sequence_reason,
                "how sure": series.sequence_confidence,
                "description": series.description,
            }
        )
    table = pd.DataFrame(rows)
    asked = any(len(stack.probabilities) for stack in stacks)
    return table if asked or table.empty else table.drop(columns="seen by the model")


def show_faults(faults: Sequence[Fault], title: str = "files could not be used") -> None:
    """Name what was left out, and why."""
    faults = list({(Path(fault.path).name, fault.reason): fault for fault in faults}.values())
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
        st.caption("\n".join(f"- {plain(note, 400)}" for note in notes))
