"""How far a cross-validation is: one bar with the time left, and the buttons that stop and resume it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.experiments.folds.progress import measure_progress
from core.jobs.experiment import Experiment, ExperimentStatus, RunOptions, start_experiment
from ui.widgets.errors import report_errors
from ui.widgets.experiments import show_terminal_command
from ui.widgets.state import current_settings
from ui.widgets.text import duration_text, plain

REFRESH_SECONDS = 2.0
STATES = {
    "running": ("blue", ":material/play_circle:"),
    "stopped": ("orange", ":material/stop_circle:"),
    "finished": ("gray", ":material/flag:"),
    "none": ("gray", ":material/help:"),
}


def show_status(experiment: Experiment) -> None:
    """Draw it, and keep it up to date while it runs."""
    running = experiment.status().state == "running"
    view: Callable[..., None] = st.fragment(_show, run_every=REFRESH_SECONDS if running else None)
    view(experiment, running)
    show_terminal_command(experiment)


def _show(experiment: Experiment, was_running: bool) -> None:
    status = experiment.status()
    if was_running and status.state != "running":
        st.rerun()
    colour, icon = STATES[status.state]
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.badge(status.state, color=colour, icon=icon)  # type: ignore[arg-type]
        with report_errors():
            _show_buttons(experiment, status)
    with report_errors():
        _show_bar(experiment, status)


def _show_buttons(experiment: Experiment, status: ExperimentStatus) -> None:
    name = experiment.name
    if status.state == "running":
        if st.button("Stop", icon=":material/stop_circle:", key=f"folds.{name}.stop", disabled=status.stopping):
            experiment.stop()
            st.rerun()
        if status.stopping:
            st.caption("Stopping; what is trained so far is kept.", width="content")
    elif status.state == "stopped":
        jobs = int(st.session_state.get("folds.jobs", 1))
        if st.button("Resume", icon=":material/play_circle:", key=f"folds.{name}.go_on", type="primary"):
            start_experiment(current_settings(), name, experiment.question(), RunOptions(parallel=jobs))
            st.rerun()


def _show_bar(experiment: Experiment, status: ExperimentStatus) -> None:
    found = measure_progress(experiment)
    if status.state == "finished":
        return
    text = f"{found.epochs_done} of {found.epochs} epochs, {found.finished} of {found.trainings} trainings finished"
    if status.state == "running" and found.seconds_left is not None:
        text += f"; about {duration_text(found.seconds_left)} left"
    st.progress(found.share, text=text)
    if found.training:
        st.caption(f"Training now: {plain(', '.join(found.training))}")
    elif status.state == "running" and status.message in ("", "starting", "Interrupted."):
        st.caption("Starting: reading the data.")
    else:
        st.caption(plain(status.message, 300))
