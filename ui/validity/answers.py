"""Questions that take many trainings: those that were answered, how far the others are, and a form to ask one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from pydantic import BaseModel

from core.experiments.evidence import list_answers
from core.jobs.experiment import Experiment, Question, RunOptions, make_question, start_experiment
from core.runs.folder import RunFolder
from ui.validity.subject import ask_run, evaluated_runs
from ui.widgets.errors import report_errors
from ui.widgets.experiments import show_terminal_command
from ui.widgets.state import current_settings
from ui.widgets.text import plain


def ask_answer(kind: str) -> dict[str, Any] | None:
    """Let the visitor choose among the answered questions of a kind; None where there is none."""
    settings = current_settings()
    answers = [] if settings.hosted else list_answers(settings, kind)
    if not answers:
        return None
    names = [answer.experiment.name for answer in answers]
    name = st.selectbox("Answered", names, key=f"validity.{kind}.answer")
    chosen = answers[names.index(name)]
    st.caption(f"{plain(chosen.question.config.architecture)} on {plain(chosen.question.source.root)}")
    return chosen.result


def show_asking(
    kind: str,
    ask_parameters: Callable[[RunFolder], tuple[BaseModel, RunOptions, int]],
    *,
    whom: str = "patients are held out inside those that training may use",
    without_test: bool = False,
) -> None:
    """Let the visitor ask a question with the settings of one of his runs, and show how far it is.

    Parameters
    ----------
    kind
        Of the experiment.
    ask_parameters
        Given the run, draws the question's own widgets and returns its parameters, how it is run, and how many trainings these are.
    whom
        On whom it is answered, after "the test patients stay untouched".
    without_test
        Whether the question would evaluate every patient, so that those of the run's test part are left out of the cohort.
    """
    if current_settings().hosted:
        st.caption(
            "This takes many trainings, more than this demo offers; run MGMT Lab on a machine of your own for it."
        )
        return
    with st.expander("Ask this of your own data", icon=":material/add_circle:", expanded=bool(evaluated_runs())):
        st.caption(
            f"The test patients of your runs stay untouched: {whom}. It runs with no page open, waits behind queued runs, "
            "and can be stopped and resumed."
        )
        run = ask_run(f"validity.{kind}.run")
        if run is None:
            return
        parameters, options, total = ask_parameters(run)
        source = run.source.without(run.split().test) if without_test else run.source
        question = make_question(kind, parameters, run.config, source)
        experiment = Experiment(current_settings().experiments / f"{kind}-{run.name}")
        running = experiment.status().state == "running"
        view: Callable[..., None] = st.fragment(_show_status, run_every=2.0 if running else None)
        view(experiment, question, options, total, running)
        if experiment.folder.is_dir():
            show_terminal_command(experiment)


def _show_status(
    experiment: Experiment, question: Question, options: RunOptions, total: int, was_running: bool
) -> None:
    name, status = experiment.name, experiment.status()
    if was_running and status.state != "running":
        st.rerun()
    with report_errors(), st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if status.state == "running":
            if st.button("Stop", icon=":material/stop_circle:", key=f"{name}.stop"):
                experiment.stop()
        elif st.button(
            {"stopped": "Resume", "none": "Train it" if total else "Measure it"}.get(
                status.state, "Train what is missing"
            ),
            icon=":material/play_circle:",
            key=f"{name}.start",
            type="primary" if status.state == "none" else "secondary",
            help=f"{total} trainings, in a process of their own." if total else "Nothing is trained.",
        ):
            start_experiment(current_settings(), name, question, options)
            st.rerun()
        if status.state != "none":
            share = min(1.0, status.done / max(total, 1))
            # More than asked for now, where it was asked before with other choices.
            done = f"{status.done} of {total}" if status.done <= total else str(status.done)
            trained = f"{done} trained. " if total else ""
            st.progress(share, text=f"{status.state}: {trained}{plain(status.message, 160)}")
        else:
            st.caption(f"{total} trainings." if total else "Nothing is trained.")
