"""Many configurations on one split: choose what is varied, watch, and evaluate the best on the test patients once."""

import streamlit as st

from core.experiments.search.search import KIND
from core.jobs.experiment import Experiment, list_experiments
from ui.sweeps.form import draw_form
from ui.sweeps.sweeps import show_search
from ui.widgets.page import begin_page
from ui.widgets.state import current_settings
from ui.widgets.text import plain


def choose_search(known: dict[str, Experiment]) -> Experiment | None:
    """The search in the address, or the newest one; the choice stands in the address."""
    named = st.query_params.get("search")
    if named and named not in known:
        del st.query_params["search"]
        st.warning(f"The search {plain(named)} is not here.", icon=":material/info:")
        named = None
    names = list(known)
    if len(names) > 1:
        st.query_params["search"] = named = st.selectbox(
            "Search", names, index=names.index(named) if named else 0, key="sweeps.chosen"
        )
    return known[named or names[0]] if names else None


begin_page("Sweeps", trains=True)
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
search = choose_search({found.name: found for found in list_experiments(current_settings(), KIND)})
if search is not None:
    with st.container(border=True):
        show_search(search)
with st.expander("A new search", icon=":material/add_circle:", expanded=search is None):
    draw_form()
