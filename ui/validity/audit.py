"""Audit of a split: does anybody stand on both sides?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from core.data.audit import AuditReport, audit_split
from core.data.cohort import scan_cohort
from core.training.run import RunFolder
from core.training.trainer import open_cohort
from ui.progress import ProgressBar
from ui.state import current_settings
from ui.text import plain
from ui.validity.subject import ask_run, judged_runs
from ui.validity.words import say_otherwise

__all__ = ["draw_section"]

RUN, FOLDER = "one of my runs", "a folder tree from elsewhere"


def draw_section() -> None:
    """Choose whose split is audited, and show what stands on both sides."""
    st.markdown(
        "A picture in training that shows the same head as one in test gives the answer away: the model need not know what "
        "methylation looks like, only whom it has seen. The audit compares patients, series and every picture."
    )
    local = not current_settings().hosted
    ways = [*([RUN] if judged_runs() else []), *([FOLDER] if local else [])]
    if not ways:
        ask_run("validity.audit.run")
        return
    way = st.segmented_control("Audit", ways, default=ways[0], required=True, key="validity.audit.way")
    if way == RUN:
        run = ask_run("validity.audit.run")
        if run is not None and st.button("Audit this split", icon=":material/fact_check:", key="validity.audit.start"):
            _show(_audit_run(run), run.split().leaky)
    else:
        place = st.text_input(
            "A tree of TRAIN, VAL and TEST folders, as the paper's code reads it", key="validity.audit.folder"
        )
        if place and st.button("Audit this tree", icon=":material/fact_check:", key="validity.audit.tree"):
            _show(_audit_folder(place), False)
    say_otherwise(
        "one patient's slices, or one picture saved twice, lay in two parts. A split by slice is told at once; a split "
        "by patient can still leak through a patient with two ids."
    )


def _audit_run(run: RunFolder) -> AuditReport:
    bar = ProgressBar("Reading pixels", "series")
    try:
        cohort = open_cohort(run.source, bar, current_settings())
        return audit_split(cohort, run.split(), current_settings(), progress=bar)
    finally:
        bar.close()


def _audit_folder(place: str) -> AuditReport:
    bar = ProgressBar("Reading pixels", "series")
    try:
        cohort = scan_cohort(Path(place).expanduser(), progress=bar, settings=current_settings())
        return audit_split(cohort, None, current_settings(), progress=bar)
    finally:
        bar.close()


def _show(report: AuditReport, by_slice: bool) -> None:
    found = report.findings
    checked = ", ".join(f"{count} {what}" for what, count in report.counted.items() if what in ("patients", "slices"))
    if not found:
        st.success(f"Nothing stands on both sides. Checked: {checked}.", icon=":material/check:")
        return
    patients = sum(finding.kind == "patient-on-both-sides" for finding in found)
    told = f"{patients} patients stand on both sides" if patients else f"{len(found)} findings"
    st.error(
        f"{told}. Checked: {checked}."
        + (
            " That is what a split by slice does: its figures do not say how well a new patient is predicted."
            if by_slice
            else ""
        ),
        icon=":material/warning:",
    )
    rows = [{"kind": one.kind, "what": plain(one.message, 300), "where": ", ".join(one.where[:3])} for one in found]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height=min(420, 38 + 35 * len(rows)))
