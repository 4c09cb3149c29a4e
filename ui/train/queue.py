"""The queue: what trains, what waits, and in which order."""

from __future__ import annotations

import streamlit as st

from core.jobs.queue import cancel, list_waiting, move, put_first
from core.runs.folder import RunEntry, RunFolder
from ui.runs.runs import own_runs, show_state
from ui.widgets.errors import report_errors
from ui.widgets.state import current_settings
from ui.widgets.text import duration_text, plain

LOOK_SECONDS = 2.0


def show_queue() -> None:
    """The runs that train or wait, with what changes their order; nothing where none waits. It redraws itself."""
    if any(entry.status.state == "queued" for entry in own_runs()):
        st.fragment(_view, run_every=LOOK_SECONDS)()


def describe_waiting(run: RunFolder) -> str:
    """Where a run that waits stands."""
    settings = current_settings()
    waiting = list_waiting(settings)
    if run not in waiting:
        return "Its turn has come."
    at_once = "one run trains" if settings.jobs == 1 else f"{settings.jobs} runs train"
    return f"Waiting in the queue, number {waiting.index(run) + 1} of {len(waiting)}: {at_once} at a time."


def _view() -> None:
    settings = current_settings()
    entries = {entry.run: entry for entry in own_runs() if entry.status.state in ("queued", "running")}
    waiting = [run for run in list_waiting(settings) if run in entries]
    if not waiting:  # The last one's turn has come: the page shows it.
        st.rerun()
    with st.container(border=True, gap="small"):
        st.markdown(f"**Queue**: {len(waiting)} waiting")
        for entry in entries.values():
            if entry.status.state == "running":
                _show_row(entry, "now")
        for place, run in enumerate(waiting, start=1):
            _show_row(entries[run], str(place), last=place == len(waiting), may_change=not settings.hosted)


def _show_row(entry: RunEntry, place: str, *, last: bool = False, may_change: bool = False) -> None:
    run, status = entry.run, entry.status
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if place != "now":
            st.markdown(f"{place}.", width="content")
        if st.button(plain(run.name), type="tertiary", key=f"queue.open.{run.name}", help="Show this run"):
            st.query_params["run"] = run.name
            st.rerun(scope="app")
        show_state(status)
        words = [entry.preset, entry.architecture, f"{status.epochs} epochs"]
        if status.state == "running" and status.seconds_left is not None:
            words.append(f"{duration_text(status.seconds_left)} left")
        if status.note:
            words.append(plain(status.note, 80))
        st.caption(" · ".join(words), width="stretch")
        if status.state == "queued":
            _offer_changes(run, first=place == "1", last=last, may_change=may_change)


def _offer_changes(run: RunFolder, *, first: bool, last: bool, may_change: bool) -> None:
    settings = current_settings()
    with report_errors(), st.container(horizontal=True, gap="xsmall", width="content"):
        if may_change:
            if st.button(
                "Put first", icon=":material/vertical_align_top:", key=f"queue.first.{run.name}", disabled=first
            ):
                put_first(run, settings)
                st.rerun()
            if st.button("Up", icon=":material/arrow_upward:", key=f"queue.up.{run.name}", disabled=first):
                move(run, settings, "up")
                st.rerun()
            if st.button("Down", icon=":material/arrow_downward:", key=f"queue.down.{run.name}", disabled=last):
                move(run, settings, "down")
                st.rerun()
        if st.button(
            "Remove", icon=":material/close:", key=f"queue.cancel.{run.name}", help="Take it out of the queue"
        ):
            cancel(run)
            st.rerun()
