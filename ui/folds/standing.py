"""How far a cross-validation is: one bar with the time left, and the buttons that stop it and go on with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.config import parse_config
from core.experiments.folds.cross_validation import CrossValidationParameters
from core.experiments.folds.progress import measure_progress
from core.jobs.background import ExperimentStatus, read_experiment_status, start_experiment, stop_experiment
from core.runs.records import DataSource
from ui.folds.start import fold_words
from ui.widgets.errors import report_errors
from ui.widgets.state import current_settings
from ui.widgets.text import duration_text, plain

REFRESH_SECONDS = 2.0
STATES = {
    "running": ("blue", ":material/play_circle:"),
    "stopped": ("orange", ":material/stop_circle:"),
    "finished": ("gray", ":material/flag:"),
    "none": ("gray", ":material/help:"),
}


def show_standing(name: str, question: dict[str, Any]) -> None:
    """Draw it, and keep it up to date while it runs."""
    running = read_experiment_status(current_settings(), name).state == "running"
    view: Callable[..., None] = st.fragment(_show, run_every=REFRESH_SECONDS if running else None)
    view(name, question, running)


def _show(name: str, question: dict[str, Any], was_running: bool) -> None:
    settings = current_settings()
    standing = read_experiment_status(settings, name)
    if was_running and standing.state != "running":
        st.rerun()
    colour, icon = STATES[standing.state]
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.badge(standing.state, color=colour, icon=icon)  # type: ignore[arg-type]
        with report_errors():
            _show_buttons(name, question, standing)
    if not question:
        st.caption(_said(standing))
        return
    with report_errors():
        _show_bar(name, question, standing)


def _show_buttons(name: str, question: dict[str, Any], standing: ExperimentStatus) -> None:
    settings = current_settings()
    if standing.state == "running":
        if st.button("Stop", icon=":material/stop_circle:", key=f"folds.{name}.stop", disabled=standing.stopping):
            stop_experiment(settings, name)
            st.rerun()
        if standing.stopping:
            st.caption("Stopping; what is trained so far is kept.", width="content")
    elif standing.state == "stopped" and question:
        jobs = int(st.session_state.get("folds.jobs", 1))
        if st.button("Go on", icon=":material/play_circle:", key=f"folds.{name}.go_on", type="primary"):
            config = parse_config(question["config"])
            source = DataSource(**question["source"])
            words = fold_words(config, source, CrossValidationParameters(**question["parameters"]), jobs)
            start_experiment(settings, name, words)
            st.rerun()


def _show_bar(name: str, question: dict[str, Any], standing: ExperimentStatus) -> None:
    found = measure_progress(current_settings(), name, question)
    if standing.state == "finished":
        return
    text = f"{found.epochs_done} of {found.epochs} epochs, {found.finished} of {found.trainings} trainings finished"
    if standing.state == "running" and found.seconds_left is not None:
        text += f"; about {duration_text(found.seconds_left)} left"
    st.progress(found.share, text=text)
    if found.training:
        st.caption(f"Training now: {plain(', '.join(found.training))}")
    else:
        st.caption(_said(standing))


def _said(standing: ExperimentStatus) -> str:
    """What it said last, in words for a person who waits."""
    if standing.state == "running" and standing.message in ("", "starting", "Interrupted."):
        return "Starting: reading the data."
    return plain(standing.message, 300)
