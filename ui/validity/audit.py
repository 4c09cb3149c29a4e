"""Audit of a split: does anybody stand on both sides?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from core.audit.findings import AuditReport
from core.experiments.controls.measurements import AUDIT, ask_measurement, keep_split
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from ui.validity.measurement import ask_data, ask_measured
from ui.validity.remarks import show_falsifier
from ui.validity.subject import ask_run, evaluated_runs
from ui.widgets.loaders import load_cohort
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
    # A table that is handed in is kept for the process that works on it; a demo keeps nothing of its visitors.
    ways = [*([RUN] if evaluated_runs() else []), *([FILE, FOLDER] if local else [])]
    if not ways:
        st.info("Train and evaluate a run first; this demo audits the split of a run.", icon=":material/info:")
        return
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
    if run is not None:
        audit_run(run, "validity.audit", "Audit this split")


def audit_run(run: RunFolder, key: str, label: str) -> None:
    """Offer the audit of a run's split, and show what it found; the claim sheet of the run counts it."""
    _ask(key, run.source, label, run.path / "split.json")


def _of_file() -> None:
    data = ask_data()
    if data is None:
        return
    file = st.file_uploader(
        "A CSV with the columns name (a study's or patient's id) and part (train, val or test), or a run's split.json",
        type=["csv", "json"],
        key="validity.audit.file",
    )
    if file is not None:
        _ask("validity.audit", data[0], "Audit this split", keep_split(file.getvalue(), file.name, current_settings()))


def _of_folder() -> None:
    place = st.text_input(
        "A tree of TRAIN, VAL and TEST folders, as the paper's code reads it", key="validity.audit.folder"
    )
    if place:
        _ask("validity.audit", DataSource(root=str(Path(place).expanduser())), "Audit this tree")


def _ask(key: str, source: DataSource, label: str, split: Path | None = None) -> None:
    question = ask_measurement(AUDIT, source, load_cohort(source), checkpoint=str(split or ""))
    found = ask_measured(key, question, label, ":material/fact_check:")
    if found is not None:
        _show(found.report, found.by_slice)


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
