"""The patients of an evaluation: who was wrong, and a way to look at each."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.runs.evaluation import Evaluation
from core.runs.folder import RunFolder
from ui.widgets.state import Scan, choose_checkpoint, choose_cohort, choose_scan
from ui.widgets.text import plain

TALLEST = 290
RIGHT, WRONG = "✓ right", "✗ wrong"


def show_patients(evaluation: Evaluation, run: RunFolder) -> None:
    """The table, those who were wrong first; the one that is selected opens in the viewer, with this run's answer."""
    table, names = evaluation.tabulate_patients(), evaluation.class_names
    wrong = int((~table["right"]).sum())
    st.markdown(f"**Patients: {wrong} of {len(table)} wrong**")
    shown = pd.DataFrame(
        {
            "patient": table["patient"],
            "answer": [RIGHT if right else WRONG for right in table["right"]],
            "true": [names[index] for index in table["true"]],
            "said": [names[index] for index in table["said"]],
            f"probability of {names[evaluation.positive_class]}": table["probability"],
            "slices": table["slices"],
        }
    )
    key = f"runs.patients.{run.name}.{evaluation.part}"
    chosen = st.dataframe(
        shown,
        hide_index=True,
        height="content" if len(shown) <= 7 else TALLEST,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_config={shown.columns[4]: st.column_config.NumberColumn(format="%.3f")},
    )
    rows = [row for row in chosen.selection.rows if row < len(table)]
    if not rows:
        st.caption("Those who were wrong stand first, the surest above. Select one to look at the scan.")
        return
    if evaluation.part != "data" and not run.source.named:
        st.caption("The data of this imported run have not been named here, so its scans cannot be opened.")
        return
    with st.container(horizontal=True, gap="small"):
        for study in table["studies"][rows[0]]:
            if st.button(
                f"Open {plain(study, 60)} in the viewer", icon=":material/neurology:", key=f"{key}.open.{study}"
            ):
                _open(study, evaluation, run)


def _open(study: str, evaluation: Evaluation, run: RunFolder) -> None:
    """Show a study on Predict, answered by this run; of another cohort, that is the current one already."""
    if evaluation.part != "data":
        choose_cohort(run.source)
    choose_checkpoint(str(run.checkpoint))
    choose_scan(Scan(kind="study", place=study))
    st.switch_page("pages/predict.py")
