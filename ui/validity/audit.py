"""Audit of a split: does anybody stand on both sides?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from core.audit.checks import audit_split
from core.audit.findings import AuditReport
from core.audit.split_source import parse_split
from core.data.cohort import scan_cohort
from core.dataset.split import Split
from core.errors import SplitError
from core.runs.cohort import open_cohort
from ui.validity.data import ask_data
from ui.validity.remarks import show_falsifier
from ui.validity.subject import ask_run, evaluated_runs
from ui.widgets.progress import ProgressBar
from ui.widgets.state import current_settings

RUN, FILE, FOLDER = "one of my runs", "a CSV or split.json", "a folder tree"
CHECKED = ("patients", "slices", "series in the split")
"""Of what an audit counted, what is said here."""


def draw_section() -> None:
    """Choose whose split is audited, and show what stands on both sides."""
    st.markdown(
        "An image in training that shows the same head as one in test gives the answer away: the model need not know what "
        "methylation looks like, only whom it has seen. The audit compares patients, series and every image."
    )
    local = not current_settings().hosted
    ways = [*([RUN] if evaluated_runs() else []), FILE, *([FOLDER] if local else [])]
    way = st.segmented_control("The split of", ways, default=ways[0], required=True, key="validity.audit.way")
    if way == RUN:
        _of_run()
    elif way == FILE:
        _of_file()
    else:
        _of_folder()
    show_falsifier(
        "one patient's slices, or one image saved twice, lay in two parts. A split by slice is told at once; a split "
        "by patient can still leak through a patient with two ids."
    )


def _of_run() -> None:
    run = ask_run("validity.audit.run")
    if run is not None and st.button("Audit this split", icon=":material/fact_check:", key="validity.audit.start"):
        with ProgressBar("Reading pixels", "series") as bar:
            report = audit_split(
                open_cohort(run.source, bar, current_settings()), run.split(), current_settings(), progress=bar
            )
        _show(report, run.split().leaky)


def _of_file() -> None:
    cohort = ask_data()
    if cohort is None:
        return
    file = st.file_uploader(
        "A CSV with the columns name (a study's or patient's id) and part (train, val or test), or a run's split.json",
        type=["csv", "json"],
        key="validity.audit.file",
    )
    if file is not None and st.button("Audit this split", icon=":material/fact_check:", key="validity.audit.table"):
        split = parse_split(file.getvalue(), file.name)
        with ProgressBar("Reading pixels", "series") as bar:
            report = audit_split(cohort, split, current_settings(), progress=bar)
        _show(report, isinstance(split, Split) and split.leaky)


def _of_folder() -> None:
    place = st.text_input(
        "A tree of TRAIN, VAL and TEST folders, as the paper's code reads it", key="validity.audit.folder"
    )
    if place and st.button("Audit this tree", icon=":material/fact_check:", key="validity.audit.tree"):
        with ProgressBar("Reading pixels", "series") as bar:
            cohort = scan_cohort(Path(place).expanduser(), progress=bar, settings=current_settings())
            if not any(study.phase for study in cohort):
                raise SplitError(
                    f"{place} was read as {cohort.layout!r}, which has no TRAIN, VAL and TEST folders, and so no split; "
                    f"name such a tree, or choose {FILE!r} and give the split itself."
                )
            report = audit_split(cohort, None, current_settings(), progress=bar)
        _show(report, False)


def _show(report: AuditReport, by_slice: bool) -> None:
    found = report.findings
    checked = ", ".join(f"{count} {what}" for what, count in report.counted.items() if what in CHECKED)
    if not found:
        st.success(f"Nothing stands on both sides. Checked: {checked}.", icon=":material/check:")
        return
    patients = sum(finding.kind == "patient-on-both-sides" for finding in found)
    told = f"{len(found)} findings"
    if patients:
        told = f"{patients} patient{'s stand' if patients > 1 else ' stands'} on both sides"
    st.error(
        f"{told}. Checked: {checked}."
        + (
            " That is what a split by slice does: its figures do not say how well a new patient is predicted."
            if by_slice
            else ""
        ),
        icon=":material/warning:",
    )
    rows = [{"kind": one.kind, "what": one.message[:300], "where": ", ".join(one.where[:3])} for one in found]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height=min(420, 38 + 35 * len(rows)))
