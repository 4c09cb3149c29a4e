"""How far a cross-validation is: one bar with the time left."""

from __future__ import annotations

import streamlit as st

from core.experiments.folds.progress import measure_progress
from core.jobs.experiment import Experiment, ExperimentStatus
from ui.widgets.experiments import show_message
from ui.widgets.text import duration_text, plain


def show_bar(experiment: Experiment, status: ExperimentStatus) -> None:
    """Draw it; nothing once it has finished."""
    found = measure_progress(experiment)
    if status.state == "finished":
        return
    text = f"{found.epochs_done} of {found.epochs} epochs, {found.finished} of {found.trainings} trainings finished"
    if status.state == "running" and found.seconds_left is not None:
        text += f"; about {duration_text(found.seconds_left)} left"
    st.progress(found.share, text=text)
    if found.training:
        st.caption(f"Training now: {plain(', '.join(found.training))}")
    else:
        show_message(status, "Starting: reading the data.")
