"""Folds by patient, repeated, nested: start, watch, and read what all of them say together."""

from typing import Any

import streamlit as st

from core.experiments.folds.progress import list_cross_validations, read_answer
from ui.folds.result import show_result, show_why
from ui.folds.standing import show_standing
from ui.folds.start import ask_new
from ui.widgets.page import begin_page
from ui.widgets.state import current_settings
from ui.widgets.text import plain


def ask_experiment() -> tuple[str, dict[str, Any]] | None:
    """The cross-validation to show: the one in the address, or the newest; None where there is none."""
    settings = current_settings()
    known = dict(list_cross_validations(settings))
    named = st.query_params.get("experiment")
    # What was started a moment ago has not written its question yet.
    young = {path.parent.name for path in settings.experiments.glob("*/started")} - {
        path.parent.name for path in settings.experiments.glob("*/question.json")
    }
    if named in young:
        known = {str(named): {}, **known}
    if not known:
        return None
    names = list(known)
    name = st.selectbox("Cross-validation", names, index=names.index(named) if named in names else 0, key="folds.shown")
    st.query_params["experiment"] = name
    question = known[name]
    if question:
        st.caption(
            f"{plain(question['config'].get('architecture', ''))}, protocol {plain(question['config'].get('preset', ''))}, on "
            f"{plain(question['source'].get('root', ''))}"
        )
    return name, question


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
    name, question = shown
    with st.container(border=True):
        show_standing(name, question)
        result = read_answer(settings, name)
        if result and question:
            show_result(name, question, result)
with st.expander("A new cross-validation", icon=":material/add_circle:", expanded=shown is None):
    ask_new()
with st.expander("Why it is done in this way", icon=":material/help:", expanded=shown is None):
    show_why()
