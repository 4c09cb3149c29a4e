"""Who of the current cohort is in another one too."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from core.audit.checks import CohortOverlap, find_overlap
from core.audit.crosswalk import read_crosswalk
from core.data.study import Cohort
from core.runs.records import DataSource
from ui.widgets.errors import report_errors
from ui.widgets.loaders import load_cohort
from ui.widgets.progress import ProgressBar
from ui.widgets.state import current_settings
from ui.widgets.text import plain


def show_overlap(cohort: Cohort) -> None:
    """Let the visitor name another cohort, and show who is in both."""
    st.subheader("Nobody twice", anchor=False)
    st.caption(
        "Public cohorts hold each other's patients. Name another one: persons are compared by tables, ids, UIDs and pixels. "
        "Pixels find the same scan again, also registered, stripped or in 8 bits; not the same person at another session."
    )
    with st.grid(2, min_column_width=260):
        other = st.text_input("Another cohort's folder", key="overlap.root", persist_state="session")
        table = st.text_input(
            "Table of ids that are one person",
            key="overlap.crosswalk",
            persist_state="session",
            help="Such as BraTS2021_MappingToTCIA.xlsx or UCSF-PDGM-metadata_v5.csv, where you have it.",
        )
    key = f"overlap.{cohort.digest}.{other}.{table}"
    if st.button("Compare the two", icon=":material/compare_arrows:", key="overlap.start", disabled=not other):
        with report_errors():
            second = load_cohort(DataSource(root=other))
            with ProgressBar("Reading pixels", "series") as bar:
                crosswalk = read_crosswalk(Path(table)) if table else None
                st.session_state[key] = find_overlap(
                    second, cohort, current_settings(), crosswalk=crosswalk, progress=bar
                )
    if key in st.session_state:
        _show(st.session_state[key])


def _show(overlap: CohortOverlap) -> None:
    document = overlap.to_dict()
    compared = document["compared"]
    with st.grid(3, min_column_width=130):
        st.metric("In both", f"{document['certain']:,}")
        st.metric("Look the same", f"{document['probable']:,}", help="Until somebody has looked, nobody knows.")
        st.metric("Persons compared", f"{compared['persons']:,} with {compared['with']:,}")
    if document["persons"]:
        rows = [
            {
                "here": one["person"],
                "there": one["same_as"],
                "certain": one["certain"],
                "reasons": ", ".join(one["reasons"]),
            }
            for one in document["persons"]
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
    else:
        st.info("Nobody was found in both.", icon=":material/fact_check:")
    for text in document["unchecked"]:
        st.caption(plain(text, 400))
