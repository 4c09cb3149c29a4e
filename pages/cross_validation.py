"""Folds by patient, repeated, nested: start, watch, and read what all of them say together."""

import streamlit as st

from core.experiments.folds.candidates import KIND
from core.jobs.experiment import Experiment, list_experiments
from ui.folds.result import show_result, show_why
from ui.folds.start import ask_new
from ui.folds.status import show_status
from ui.widgets.errors import report_errors
from ui.widgets.page import begin_page
from ui.widgets.state import current_settings
from ui.widgets.text import plain


def ask_experiment() -> Experiment | None:
    """The cross-validation to show: the one in the address, or the newest; None where there is none."""
    known = {experiment.name: experiment for experiment in list_experiments(current_settings(), KIND)}
    if not known:
        return None
    named, names = st.query_params.get("experiment"), list(known)
    name = st.selectbox("Cross-validation", names, index=names.index(named) if named in names else 0, key="folds.shown")
    st.query_params["experiment"] = name
    with report_errors():
        question = known[name].question()
        config = question.config
        st.caption(f"{plain(config.architecture)}, protocol {plain(config.preset)}, on {plain(question.source.root)}")
        return known[name]
    return None


begin_page("Cross-validation")
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
shown = ask_experiment()
if shown is not None:
    with st.container(border=True):
        show_status(shown)
        result = shown.result()
        if result:
            show_result(shown.name, shown.question().source, result)
with st.expander("A new cross-validation", icon=":material/add_circle:", expanded=shown is None):
    ask_new()
with st.expander("Why it is done in this way", icon=":material/help:", expanded=shown is None):
    show_why()
