"""What the pages of experiments share."""

from __future__ import annotations

import shlex

import streamlit as st

from core.jobs.experiment import ENTRY, Experiment


def show_terminal_command(experiment: Experiment) -> None:
    """Show how the question is answered, or resumed, without the app."""
    with st.expander("The same in a terminal", icon=":material/terminal:"):
        st.code(shlex.join(["python", "-m", ENTRY, str(experiment.folder)]), language="sh", wrap_lines=True)
