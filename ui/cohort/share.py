"""A de-identified copy of the cohort: name a folder, write, see what was left out."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.data.study import Cohort
from core.deidentify.cohort import Deidentified, deidentify_cohort
from ui.widgets.errors import report_errors
from ui.widgets.progress import ProgressBar, offer_cancel
from ui.widgets.state import current_settings
from ui.widgets.study_view import show_faults
from ui.widgets.text import plain


def show_sharing(cohort: Cohort) -> None:
    """Offer the copy where its folder can be named; once it is written, say what is in it and what is not."""
    if current_settings().hosted:
        return
    with st.expander("Write a de-identified copy", icon=":material/visibility_off:"):
        st.caption(
            "After the Basic Profile of DICOM PS3.15: names, ids, private attributes and free text go, UIDs are replaced alike "
            "everywhere, dates move by one span per patient. Your files are only read. Faces and text in the pixels stay."
        )
        out = st.text_input("Folder of the copy: new or empty", key="cohort.share.out")
        mapping = st.text_input(
            "Table of pseudonyms (CSV, outside the copy)",
            key="cohort.share.mapping",
            help="Who has which pseudonym. Left empty, nobody can go back from the copy to a patient.",
        )
        key = f"share.{cohort.digest}"
        if st.button("Write the copy", icon=":material/content_copy:", key="cohort.share.start", disabled=not out):
            st.session_state.pop(key, None)
            offer_cancel("cohort.share.cancel", "What was written so far is kept; the same folder resumes it.")
            with report_errors():
                st.session_state[key] = _write(cohort, out, mapping)
                st.rerun()
        if key in st.session_state:
            _show_report(st.session_state[key])


def _write(cohort: Cohort, out: str, mapping: str) -> Deidentified:
    with ProgressBar("Writing", "series") as bar:
        return deidentify_cohort(
            cohort,
            Path(out).expanduser(),
            current_settings(),
            mapping=Path(mapping).expanduser() if mapping else None,
            progress=bar,
        )


def _show_report(report: Deidentified) -> None:
    st.success(
        f"{report.files:,} files of {report.studies:,} studies of {report.persons:,} patients are in {plain(report.out)}; "
        f"{report.labels:,} studies have a label.",
        icon=":material/check:",
    )
    for warning in report.warnings:
        st.warning(plain(warning), icon=":material/warning:")
    show_faults(report.not_copied, "files were not copied")
