"""The presets' networks as a table, and what goes into each."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.models.zoo import ZooRow

__all__ = ["show_input", "show_zoo"]

FORMS = {
    "slice": "one picture at a time; the answers for a study's slices are averaged into one",
    "volume": "a whole volume at once",
    "streams": "one picture of each MR sequence at once",
}


def show_zoo(rows: list[ZooRow]) -> None:
    """What each network costs, beside what the paper's Figure 2 says."""
    table = pd.DataFrame(
        {
            "preset": [row.title for row in rows],
            "network": [row.network for row in rows],
            "parameters (10⁶)": [row.parameters / 1e6 for row in rows],
            "multiply-adds (10⁹)": [row.multiply_adds / 1e9 for row in rows],
            "paper's Figure 2 (10⁹)": [row.paper_multiply_adds for row in rows],
            "can start from": [row.pretrained or "random weights only" for row in rows],
        }
    )
    styles = {
        name: st.column_config.NumberColumn(format="%.2f" if name.startswith("multiply") else "%.1f")
        for name in table.columns
        if "10" in name
    }
    st.dataframe(table, hide_index=True, column_config=styles)
    st.caption(
        "Parameters and multiply-adds are counted from the networks themselves, for one example and two classes. "
        "Figure 2 of the paper repeats the costs of He et al. (2016)."
    )
    for note in dict.fromkeys(row.note for row in rows if row.note):
        names = ", ".join(row.network for row in rows if row.note == note)
        st.caption(f"{names}: {note}.")


def show_input(row: ZooRow) -> None:
    """What one example is."""
    sides = " × ".join(str(side) for side in row.input_shape)
    st.markdown(f"**What goes in:** {FORMS[row.input_form]}. One example is {sides} (channels × rows × columns).")
