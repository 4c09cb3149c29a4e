"""Folds by patient, repeated, nested: start, watch, and read what all of them say together."""

import streamlit as st

from core.experiments.folds.candidates import KIND
from ui.folds.result import show_result, show_why
from ui.folds.start import ask_new
from ui.folds.status import show_bar
from ui.widgets.errors import report_errors
from ui.widgets.experiments import ask_experiment, show_status
from ui.widgets.page import begin_page
from ui.widgets.state import current_settings
from ui.widgets.text import plain

begin_page("Cross-validation", trains=True)
settings = current_settings()
st.markdown(
    "Every patient is evaluated once, by a network that never saw it: the cohort is dealt out to folds by patient, and each fold "
    "is evaluated by what was trained, and chosen, on the others."
)
if settings.hosted:
    st.info(
        "This takes many trainings, more than this demo offers; run MGMT Lab on a machine of your own for it.",
        icon=":material/info:",
    )
    show_why()
    st.stop()
shown = ask_experiment("Cross-validation", [KIND], "folds")
if shown is not None:
    with st.container(border=True), report_errors():
        question = shown.question()
        config = question.config
        st.caption(f"{plain(config.architecture)}, protocol {plain(config.preset)}, on {plain(question.source.root)}")
        show_status(shown, "folds", show_bar)
        result = shown.result()
        if result:
            show_result(shown.name, question.source, result)
with st.expander("A new cross-validation", icon=":material/add_circle:", expanded=shown is None):
    ask_new()
with st.expander("Why it is done in this way", icon=":material/help:", expanded=shown is None):
    show_why()
