"""Deleted runs, with a way back until the app stops."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.runs.folder import RunFolder
from core.runs.trash import empty_dead_trashes, open_trash
from ui.widgets.errors import report_errors
from ui.widgets.state import current_settings, visitor
from ui.widgets.text import plain

SHOWN = 3


@st.cache_resource(show_spinner=False)
def empty_old_trash() -> None:
    """Once per server: remove for good what servers deleted that are gone."""
    empty_dead_trashes(current_settings())


def delete_runs(runs: Sequence[RunFolder]) -> None:
    """Move runs to this server's trash and draw the page anew; the trash above the table offers the way back."""
    with report_errors():
        trash = open_trash(current_settings())
        for run in runs:
            trash.put(run)
        st.query_params.pop("run", None)
        st.rerun()


def show_trash() -> None:
    """What this visitor deleted since the app started, with a way back."""
    settings = current_settings()
    if not (settings.runs / ".trash").is_dir():
        return
    trash = open_trash(settings)
    owner = visitor() if settings.hosted else None
    deleted = trash.list(owner)
    if not deleted:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Deleted, until the app stops:")
        for entry in deleted[:SHOWN]:
            place = entry.run.path.parent.name
            if st.button(f"Undo: {plain(entry.name, 40)}", icon=":material/undo:", key=f"runs.undo.{place}"):
                with report_errors():
                    st.query_params["run"] = trash.undo(entry).name
                    st.rerun()
        if len(deleted) > SHOWN:
            st.caption(f"and {len(deleted) - SHOWN} deleted before")
        if st.button(
            "Empty",
            icon=":material/delete_forever:",
            type="tertiary",
            key="runs.trash.empty",
            help="Deletes them for good and gives the space back.",
        ):
            trash.empty(owner)
            st.rerun()
