"""Several cohorts as one question: a checkpoint on each of them, or each left out of training in turn."""

import streamlit as st

from core.experiments.external.parameters import EXTERNAL, LEAVE_OUT
from ui.external.result import show_result, show_why
from ui.external.start import ask_new
from ui.external.status import show_bar
from ui.widgets.errors import report_errors
from ui.widgets.experiments import ask_experiment, show_status
from ui.widgets.page import begin_page
from ui.widgets.state import current_settings
from ui.widgets.text import plain

begin_page("External validation", trains=True)
st.markdown(
    "What a network is worth shows on other people's patients: another hospital, other scanners. Here a checkpoint is evaluated "
    "on each of several cohorts, or each cohort is left out of training in turn, and all of them are read together."
)
if current_settings().hosted:
    st.info(
        "This takes whole cohorts, more than this demo offers; run MGMT Lab on a machine of your own for it.",
        icon=":material/info:",
    )
    show_why()
    st.stop()
shown = ask_experiment("Question", [EXTERNAL, LEAVE_OUT], "external")
if shown is not None:
    with st.container(border=True), report_errors():
        question = shown.question()
        what = "external validation" if question.kind == EXTERNAL else f"leave one {question.parameters['by']} out"
        st.caption(f"{what}; {plain(question.config.architecture)}, protocol {plain(question.config.preset)}")
        show_status(shown, "external", show_bar)
        result = shown.result()
        if result:
            show_result(shown.name, result)
with st.expander("A new question", icon=":material/add_circle:", expanded=shown is None):
    ask_new()
with st.expander("Why it is done in this way", icon=":material/help:", expanded=shown is None):
    show_why()
