"""Questions that take many trainings: which were answered, how far the others are, and how to ask one."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from core.experiments.evidence import list_answers
from core.jobs.background import read_experiment_status, start_experiment, stop_experiment
from ui.validity.subject import ask_run, evaluated_runs
from ui.widgets.commands import command_words
from ui.widgets.errors import report_errors
from ui.widgets.state import current_settings
from ui.widgets.text import plain


def ask_answer(kind: str) -> dict[str, Any] | None:
    """Let the visitor choose among the answered questions of a kind; None where there is none."""
    settings = current_settings()
    answers = [] if settings.hosted else list_answers(settings, kind)
    if not answers:
        return None
    names = [name for name, _, _ in answers]
    name = st.selectbox("Answered", names, key=f"validity.{kind}.answer")
    _, question, result = answers[names.index(name)]
    root = question.get("source", {}).get("root", "")
    st.caption(f"{plain(question.get('config', {}).get('architecture', ''))} on {plain(root)}")
    return result


def show_asking(
    kind: str,
    ask_parameters: Callable[[], tuple[list[str], int]],
    command_name: str | None = None,
    *,
    whom: str = "patients are held out inside those that training may use",
) -> None:
    """Let the visitor ask a question with the settings of one of his runs, and show how far it is.

    Parameters
    ----------
    kind
        Of the experiment.
    ask_parameters
        Draws the question's own widgets and returns the words of the command line, and how many trainings they mean.
    command_name
        The command that answers it; named like the kind where it is not given.
    whom
        On whom it is answered, after "the test patients stay untouched".
    """
    if current_settings().hosted:
        st.caption(
            "This takes many trainings, more than this demo offers; run MGMT Lab on a machine of your own for it."
        )
        return
    with st.expander("Ask this of your own data", icon=":material/add_circle:", expanded=bool(evaluated_runs())):
        st.caption(
            f"The test patients of your runs stay untouched: {whom}. It goes on with no page open, waits behind queued runs, "
            "and can be stopped and gone on with."
        )
        run = ask_run(f"validity.{kind}.run")
        if run is None:
            return
        more, total = ask_parameters()
        command = [*command_words(command_name or kind, run.config, run.source), *more]
        name = f"{kind}-{run.name}"
        running = read_experiment_status(current_settings(), name).state == "running"
        view: Callable[..., None] = st.fragment(_show_standing, run_every=2.0 if running else None)
        view(name, command, total, running)
        st.caption("The same in a terminal:")
        st.code(shlex.join(["python", "-m", "core", *command, "--name", name]), language="sh", wrap_lines=True)


def _show_standing(name: str, command: Sequence[str], total: int, was_running: bool) -> None:
    settings = current_settings()
    standing = read_experiment_status(settings, name)
    if was_running and standing.state != "running":
        st.rerun()
    with report_errors(), st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if standing.state == "running":
            if st.button("Stop", icon=":material/stop_circle:", key=f"{name}.stop"):
                stop_experiment(settings, name)
        elif st.button(
            "Go on"
            if standing.state == "stopped"
            else "Train it"
            if standing.state == "none"
            else "Train what is missing",
            icon=":material/play_circle:",
            key=f"{name}.start",
            type="primary" if standing.state == "none" else "secondary",
            help=f"{total} trainings, in the background.",
        ):
            start_experiment(settings, name, command)
            st.rerun()
        if standing.state != "none":
            share = min(1.0, standing.done / max(total, 1))
            # More than asked for now, where it was asked before with other choices.
            done = f"{standing.done} of {total}" if standing.done <= total else str(standing.done)
            st.progress(share, text=f"{standing.state}: {done} trained. {plain(standing.message, 160)}")
        else:
            st.caption(f"{total} trainings.")
