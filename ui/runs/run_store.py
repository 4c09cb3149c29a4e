"""What is kept of runs: names, notes and tags, a run as a zip, and where an imported run's data lies."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import streamlit as st

from core.runs.bundle import write_bundle
from core.runs.folder import RunFolder, list_runs
from core.runs.tags import LONGEST_NAME, LONGEST_NOTE, LONGEST_TAG, change_tags, read_tags, read_words, write_words
from core.runs.unbundle import import_run, name_data, read_import
from ui.widgets.errors import report_errors
from ui.widgets.state import chosen_cohort, current_settings, visitor
from ui.widgets.text import plain


def show_words(run: RunFolder) -> None:
    """A run's name and note, where it has them."""
    words = read_words(run)
    if words.name or words.note:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if words.name:
                st.markdown(f"**{plain(words.name)}**", width="content")
            if words.note:
                st.caption(plain(words.note, LONGEST_NOTE))


def ask_words(run: RunFolder) -> None:
    """A form for a run's name and note."""
    words = read_words(run)
    with (
        st.popover("Name and note", icon=":material/edit_note:", type="tertiary", key=f"runs.words.{run.name}"),
        st.form(f"runs.words.{run.name}.form", border=False),
        report_errors(),
    ):
        name = st.text_input("Name", words.name, max_chars=LONGEST_NAME, key=f"runs.words.{run.name}.name")
        note = st.text_area("Note", words.note, max_chars=LONGEST_NOTE, key=f"runs.words.{run.name}.note")
        if st.form_submit_button("Keep", type="primary"):
            write_words(run, name, note)
            st.rerun()


def show_tags(run: RunFolder) -> None:
    """A run's tags, to add and to take away."""
    tags = read_tags(run)
    known = {tag for entry in list_runs(current_settings(), visitor() or None) for tag in read_tags(entry.run)}
    wanted = st.multiselect(
        "Tags of this run",
        sorted({*known, *tags}, key=str.casefold),
        default=list(tags),
        accept_new_options=True,
        placeholder="Tag this run",
        label_visibility="collapsed",
        key=f"runs.tags.{run.name}.{'|'.join(tags)}",
    )
    if set(wanted) != set(tags):
        with report_errors():
            change_tags(run, add=set(wanted) - set(tags), remove=set(tags) - set(wanted))
            st.rerun()


def tag_all(runs: Sequence[RunFolder]) -> None:
    """Add one tag to several runs."""
    with st.popover("Tag", icon=":material/label:", type="tertiary", key="runs.tag"):
        tag = st.text_input("Tag for all of them", max_chars=LONGEST_TAG, key="runs.tag.text")
        if st.button("Add", key="runs.tag.add", disabled=not tag.strip()):
            with report_errors():
                for run in runs:
                    change_tags(run, add=[tag])
                st.rerun()


def offer_export(run: RunFolder) -> None:
    """A button that makes the zip when it is pressed, and not before."""

    def make() -> bytes:
        stream = BytesIO()
        write_bundle(run, stream, settings)
        return stream.getvalue()

    settings = current_settings()
    st.download_button(
        "Export",
        make,
        f"{run.name}.zip",
        "application/zip",
        icon=":material/folder_zip:",
        type="tertiary",
        on_click="ignore",
        key="runs.export",
        help="Settings, split, curves, predictions, weights and evaluations as one zip, home folders hidden; to be imported "
        "elsewhere.",
    )


def offer_import() -> None:
    """Take in a run that was exported elsewhere."""
    settings = current_settings()
    if settings.hosted:
        return
    turn = st.session_state.setdefault("runs.import.turn", 0)
    with st.expander("Import a run", icon=":material/upload:"):
        file = st.file_uploader(
            "The zip of a run that was exported elsewhere",
            type="zip",
            key=f"runs.import.{turn}",
            help="Everything in it is checked and its figures are computed anew; nothing is unpickled.",
        )
        if file is None or not st.button("Import", icon=":material/upload:", type="primary", key="runs.import.go"):
            return
        with report_errors(), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.zip"
            path.write_bytes(file.getbuffer())
            with st.spinner("Checking the run …"):
                run = import_run(path, settings)
            st.session_state["runs.import.turn"] = turn + 1
            st.query_params["run"] = run.name
            st.rerun()


def show_origin(run: RunFolder) -> None:
    """Where an imported run comes from, and a way to say where its data lies here."""
    origin = read_import(run)
    if origin is None:
        return
    st.badge(f"imported, made as {plain(origin.name, 60)}", icon=":material/upload:", color="gray")
    if run.source.named:
        return
    st.caption(
        f"Its data lay at {plain(origin.data)}. Curves and figures need no data; to evaluate its test patients here, say "
        "where the same cohort lies."
    )
    current = chosen_cohort()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"), report_errors():
        root = st.text_input(
            "Folder of its cohort", current.root if current else "", key=f"runs.data.{run.name}", width=420
        )
        if st.button("Name the data", key=f"runs.data.{run.name}.go", disabled=not root.strip()):
            tables = (current.labels, current.identity) if current and current.root == root else (None, None)
            name_data(run, root.strip(), current_settings(), *tables)
            st.rerun()
