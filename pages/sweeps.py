"""Many configurations on one split: choose what is varied, watch, and look at the test patients once."""

import streamlit as st

from core.experiments.search.result import begun_searches, list_searches
from ui.sweeps.form import ask_search
from ui.sweeps.sweeps import show_search
from ui.widgets.page import begin_page
from ui.widgets.state import current_settings
from ui.widgets.text import plain


def ask_name(names: list[str]) -> str | None:
    """The search in the address, or the newest one; the choice stands in the address."""
    named = st.query_params.get("search")
    if named and named not in names:
        if named in begun_searches(current_settings()):
            return named
        del st.query_params["search"]
        st.warning(f"The search {plain(named)} is not here.", icon=":material/info:")
        named = None
    if not names:
        return None
    if len(names) == 1:
        return names[0]
    name: str = st.selectbox("Search", names, index=names.index(named) if named else 0, key="sweeps.chosen")
    st.query_params["search"] = name
    return name


begin_page("Sweeps")
if current_settings().hosted:
    st.info(
        "A sweep is many trainings, more than this demo offers; run MGMT Lab on a machine of your own for it. The Train "
        "page trains one configuration here.",
        icon=":material/info:",
    )
    st.page_link("pages/train.py", label="Train", icon=":material/model_training:")
    st.stop()
st.caption(
    "Optuna varies settings over many runs. They share one split: the validation patients choose, and the test patients "
    "are set apart once and stand in no trial."
)
name = ask_name(list_searches(current_settings()))
if name is not None:
    with st.container(border=True):
        show_search(name)
with st.expander("A new search", icon=":material/add_circle:", expanded=name is None):
    ask_search()
