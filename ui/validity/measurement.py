"""What is measured on a cohort: which one, and the button. The work runs in a process of its own, so that leaving the page,
reloading and other tabs lose nothing, and its answer is there for every session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.data.study import Cohort
from core.experiments.controls.measurements import find_measurement, read_measurement
from core.jobs.experiment import Experiment, Question, RunOptions, start_experiment
from core.runs.records import DataSource
from ui.cohort.choose import ask_cohort, show_cohort_line
from ui.widgets.errors import report_errors
from ui.widgets.loaders import load_chosen_cohort
from ui.widgets.state import chosen_cohort, current_settings, visitor
from ui.widgets.text import plain

REFRESH_SECONDS = 1.0


def ask_data() -> tuple[DataSource, Cohort] | None:
    """The current cohort, as it was named and as it was scanned, with its line; where there is none, a way to choose one."""
    source, cohort = chosen_cohort(), load_chosen_cohort()
    if source is None or cohort is None:
        ask_cohort()
        return None
    show_cohort_line(cohort)
    return source, cohort


def ask_measured(key: str, question: Question, label: str, icon: str) -> Any:
    """Draw the button and how far the work is, and return what was found: of the kind's type; None before.

    Parameters
    ----------
    key
        Of the section: "validity.leak".
    question
        What is asked (:func:`core.experiments.controls.measurements.ask_measurement`).
    label, icon
        Of the button.
    """
    experiment = find_measurement(current_settings(), question)
    running = experiment.status().state == "running"
    view: Callable[..., None] = st.fragment(_show, run_every=REFRESH_SECONDS if running else None)
    view(key, experiment, question, label, icon, running)
    return read_measurement(experiment, question.kind)


def _show(key: str, experiment: Experiment, question: Question, label: str, icon: str, was_running: bool) -> None:
    status = experiment.status()
    if was_running and status.state != "running":
        st.rerun()
    if status.state == "running":
        st.progress(status.share, text=plain(status.step or "Starting", 160))
        with st.container(horizontal=True, vertical_alignment="center"):
            others = current_settings().hosted and experiment.options().owner != visitor()
            if st.button("Stop", icon=":material/stop_circle:", key=f"{key}.stop", disabled=status.stopping or others):
                experiment.stop()
                st.rerun()
            st.caption("It goes on when you leave the page or close it; the answer will stand here.", width="content")
        return
    failed = status.state == "stopped" and status.message.startswith("error:")
    if failed:
        st.error(plain(status.message.removeprefix("error:").strip(), 600))
    elif status.state == "stopped":
        st.caption("It was stopped before it had an answer.")
    known = status.state == "finished"
    with report_errors():
        if st.button(
            "Measure again" if known else label, icon=icon, type="secondary" if known else "primary", key=f"{key}.start"
        ):
            options = RunOptions(owner=visitor())
            start_experiment(current_settings(), experiment.name, question, options, trains=False)
            st.rerun()
