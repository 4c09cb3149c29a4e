"""How far a question over several cohorts is: cohorts evaluated, or epochs trained."""

from __future__ import annotations

import streamlit as st

from core.experiments.external.parameters import EXTERNAL, count_trainings
from core.experiments.external.progress import count_evaluated
from core.jobs.experiment import Experiment, ExperimentStatus
from ui.widgets.experiments import show_message
from ui.widgets.text import plain


def show_bar(experiment: Experiment, status: ExperimentStatus) -> None:
    """Draw it; nothing once it has finished."""
    if status.state == "finished":
        return
    if experiment.question().kind == EXTERNAL:
        done, total, following = count_evaluated(experiment)
        st.progress(done / total, text=f"{done} of {total} cohorts evaluated; next: {plain(following)}")
    else:
        _show_trainings(experiment)
    show_message(status, "Starting: reading the data.")


def _show_trainings(experiment: Experiment) -> None:
    question = experiment.question()
    epochs, expected = question.config.epochs, count_trainings(question)
    members = experiment.members()
    done = sum(min(epochs, len(run.epochs())) for run in members)
    training = [run.name for run in members if run.status().state == "running"]
    finished = sum(run.status().state == "finished" for run in members)
    total = expected or len(members)
    text = f"{finished} of {expected or 'as many as there are sites'} trainings finished, {done} epochs"
    st.progress(
        min(1.0, done / max(1, epochs * total)),
        text=f"{text}; training now: {plain(', '.join(training))}" if training else text,
    )
