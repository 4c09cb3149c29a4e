"""Many studies at once: a folder without labels is predicted in a process of its own, into a table that is read here."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from core.inference.batch import Row, read_predictions
from core.jobs.experiment import PREDICTIONS, Experiment, ExperimentStatus
from core.jobs.predictions import TABLE, ask_predictions, cohort_source, read_progress
from ui.widgets.errors import report_errors
from ui.widgets.experiments import ask_experiment, ask_start, show_message, show_status
from ui.widgets.state import Scan, choose_scan
from ui.widgets.text import plain

REFRESH_SECONDS = 4.0
SHOWN = ("all", "answered", "abstained", "failed")
HIDDEN = ("folder", "scan", "checkpoint")


def ask_folder() -> None:
    """The folder that holds the studies."""
    st.text_input(
        "A folder of studies",
        key="predict.many.folder",
        persist_state="session",
        placeholder="/data/cohort",
        help="A cohort as the Cohort page reads it; it needs no labels. Every session of every person has a row.",
    )
    st.caption("Hundreds of studies are predicted one after the other, in the background: you may leave this page.")


def show_many(checkpoint: Path | None) -> None:
    """Start a cohort, show how far it is, and its table, from which a study opens below."""
    folder = str(st.session_state.get("predict.many.folder") or "").strip()
    with st.container(border=True), report_errors():
        if checkpoint is not None and folder:
            if Path(folder).expanduser().is_dir():
                question = ask_predictions(checkpoint, cohort_source(folder))
                note = "A name that is there already is resumed below. The table is a file in its folder."
                ask_start(question, "predictions", note, "predict.many", trains=False)
            else:
                st.error(f"There is no folder {plain(folder)}; name one that holds studies.")
        else:
            st.caption("Name a folder of studies above to start.")
    shown = ask_experiment("Predicted cohorts", [PREDICTIONS], "predict.many")
    if shown is None:
        return
    with st.container(border=True), report_errors():
        question = shown.question()
        st.caption(f"{plain(question.parameters['checkpoint'], 300)} on {plain(question.source.root, 300)}")
        show_status(shown, "predict.many", _show_bar)
    running = shown.status().state == "running"
    st.fragment(_show_table, run_every=REFRESH_SECONDS if running else None)(shown)


def _show_bar(experiment: Experiment, status: ExperimentStatus) -> None:
    found = read_progress(experiment)
    if found is not None:
        done, total = found
        st.progress(done / max(1, total), text=f"{done} of {total} studies")
    if status.state != "finished":
        show_message(status, "Starting: reading the headers.")


def _show_table(experiment: Experiment) -> None:
    with report_errors():
        rows = read_predictions(experiment.folder / TABLE)
        if not rows:
            st.caption("No study has been predicted yet.")
            return
        counts = {kind: sum(_is(kind, row) for row in rows) for kind in SHOWN}
        with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
            kind = st.segmented_control(
                "Show",
                SHOWN,
                format_func=lambda name: f"{name} {counts[name]}",
                default="all",
                required=True,
                key="predict.many.kind",
            )
            wanted = st.text_input("Contains", key="predict.many.contains", width=220).strip().lower()
        found = [row for row in rows if _is(str(kind), row) and wanted in " ".join(row.values()).lower()]
        _draw_rows(experiment, found)
        st.download_button(
            "The whole table (CSV)",
            (experiment.folder / TABLE).read_bytes(),
            f"{experiment.name}.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def _draw_rows(experiment: Experiment, rows: list[Row]) -> None:
    """The rows, sortable by their heads; the one that is selected can be opened."""
    if not rows:
        st.caption("No row is like that.")
        return
    table = pd.DataFrame(rows).drop(columns=list(HIDDEN))
    table["probability"] = pd.to_numeric(table["probability"])
    chosen = st.dataframe(
        table,
        hide_index=True,
        height="content" if len(rows) <= 7 else 320,
        key=f"predict.many.{experiment.name}.table",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "study_id": st.column_config.TextColumn("study", pinned=True),
            "probability": st.column_config.NumberColumn(format="%.3f"),
            "set": st.column_config.TextColumn("possible classes"),
        },
    )
    picked = [number for number in chosen.selection.rows if number < len(rows)]
    row = rows[picked[0]] if picked else None
    if row is None:
        st.caption("Select a row to open its study. Research use only: no number here is a diagnosis.")
    elif not row["folder"]:
        st.caption(f"Study {plain(row['study_id'])} cannot be opened: {plain(row['error'], 400)}")
    elif st.button(f"Open study {plain(row['study_id'])}", icon=":material/visibility:", key="predict.many.open"):
        choose_scan(Scan(kind="path", place=row["folder"], study=row["study_id"]))
        st.rerun()


def _is(kind: str, row: Row) -> bool:
    return {
        "all": True,
        "answered": row["abstained"] == "false",
        "abstained": row["abstained"] == "true",
        "failed": bool(row["error"]),
    }[kind]
