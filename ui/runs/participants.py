"""Who took part in a run: found, excluded for each reason, used, as it was when the run was trained."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.data.clinical.participants import list_flow
from core.runs.folder import RunFolder
from ui.figures.cohort import draw_flow
from ui.widgets.theme import current_palette, draw


def show_participants(run: RunFolder, key: str) -> None:
    """The flow as a figure and as numbers; or that the run does not carry it."""
    flow = run.participants()
    if flow is None:
        st.caption("Not recorded: this run was trained by a version that did not keep the flow of participants.")
        return
    draw(draw_flow(flow, current_palette()), key=key, alt="flow of participants")
    rows = [{"step": name, "studies": studies, "persons": persons} for name, studies, persons in list_flow(flow)]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
