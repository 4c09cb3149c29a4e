"""What the pages of experiments share: which is shown, how far it is, and the buttons that stop and resume it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

import streamlit as st

from core.jobs.experiment import (
    Experiment,
    ExperimentStatus,
    Question,
    RunOptions,
    list_experiments,
    start_experiment,
)
from ui.widgets.errors import report_errors
from ui.widgets.state import current_settings
from ui.widgets.text import plain

REFRESH_SECONDS = 2.0
STATES = {
    "running": ("blue", ":material/play_circle:"),
    "stopped": ("orange", ":material/stop_circle:"),
    "finished": ("gray", ":material/flag:"),
    "none": ("gray", ":material/help:"),
}
Bar = Callable[[Experiment, ExperimentStatus], None]
"""Draws how far an experiment is."""


def ask_experiment(title: str, kinds: Sequence[str], key: str) -> Experiment | None:
    """The experiment to show: the one in the address, or the newest; None where there is none of these kinds."""
    found = [one for kind in kinds for one in list_experiments(current_settings(), kind)]
    known = {one.name: one for one in sorted(found, key=_created, reverse=True)}
    if not known:
        return None
    named, names = st.query_params.get("experiment"), list(known)
    name = st.selectbox(title, names, index=names.index(named) if named in names else 0, key=f"{key}.shown")
    st.query_params["experiment"] = name
    return known[name]


def free_name(begin: str) -> str:
    """The first of ``begin-01``, ``begin-02``, ... that no experiment has."""
    taken = current_settings().experiments
    return next(name for number in range(1, 10_000) if not (taken / (name := f"{begin}-{number:02d}")).exists())


def ask_start(question: Question, begin: str, note: str, key: str, *, trains: bool = True) -> None:
    """Let the visitor name an experiment and start it in a process of its own.

    Parameters
    ----------
    question
        What it answers.
    begin
        Of the name that it has where none is given.
    note
        Said below the button.
    key
        Prefix of the widgets' keys.
    trains
        Whether it takes trainings, of which several may run at once.
    """
    settings, free = current_settings(), free_name(begin)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        name = st.text_input("Name", placeholder=free, key=f"{key}.name", width=260) or free
        jobs = 1
        if trains:
            said = "Trainings at once, in processes of their own that share the threads."
            most = max(1, settings.threads)
            jobs = int(st.number_input("At the same time", 1, most, 1, key=f"{key}.jobs", width=150, help=said))
        pressed = st.button("Start", type="primary", icon=":material/play_circle:", key=f"{key}.start")
    st.caption(note)
    if pressed and (settings.experiments / name).exists():
        st.error(f"{plain(name)} is there already; choose another name, or resume it above.")
    elif pressed:
        start_experiment(settings, name, question, RunOptions(parallel=jobs))
        st.query_params["experiment"] = name
        st.rerun()


def show_status(experiment: Experiment, key: str, show_bar: Bar) -> None:
    """Draw how far it is, and keep it up to date while it runs."""
    running = experiment.status().state == "running"
    view: Callable[..., None] = st.fragment(_show, run_every=REFRESH_SECONDS if running else None)
    view(experiment, running, key, show_bar)
    show_terminal_command(experiment)


def show_message(status: ExperimentStatus, starting: str) -> None:
    """What it said last; `starting` where it has said nothing yet."""
    silent = status.state == "running" and status.message in ("", "starting", "Interrupted.")
    st.caption(starting if silent else plain(status.message, 300))


def show_terminal_command(experiment: Experiment) -> None:
    """Show how the question is answered, or resumed, without the app."""
    with st.expander("The same in a terminal", icon=":material/terminal:"):
        st.code(shlex.join(["python", "-m", experiment.entry, str(experiment.folder)]), language=None, wrap_lines=True)


def _created(experiment: Experiment) -> str:
    with report_errors():
        return experiment.question().created
    return ""


def _show(experiment: Experiment, was_running: bool, key: str, show_bar: Bar) -> None:
    status = experiment.status()
    if was_running and status.state != "running":
        st.rerun()
    colour, icon = STATES[status.state]
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.badge(status.state, color=colour, icon=icon)  # type: ignore[arg-type]
        with report_errors():
            _show_buttons(experiment, status, key)
    with report_errors():
        show_bar(experiment, status)


def _show_buttons(experiment: Experiment, status: ExperimentStatus, key: str) -> None:
    name = experiment.name
    if status.state == "running":
        if st.button("Stop", icon=":material/stop_circle:", key=f"{key}.{name}.stop", disabled=status.stopping):
            experiment.stop()
            st.rerun()
        if status.stopping:
            st.caption("Stopping; what is done so far is kept.", width="content")
    elif status.state == "stopped":
        jobs = int(st.session_state.get(f"{key}.jobs", 1))
        if st.button("Resume", icon=":material/play_circle:", key=f"{key}.{name}.go_on", type="primary"):
            start_experiment(current_settings(), name, experiment.question(), RunOptions(parallel=jobs))
            st.rerun()
