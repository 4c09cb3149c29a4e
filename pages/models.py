"""The networks that can be trained, what they cost, and the way to train one."""

import streamlit as st

from core.models.zoo import list_zoo
from core.presets import PRESETS
from ui.models.table import show_input, show_zoo
from ui.widgets.page import begin_page

begin_page("Models")
st.markdown("Each preset is a network with a whole protocol around it: how scans are prepared, trained and evaluated.")
rows = list_zoo()
show_zoo(rows)
st.subheader("Choose one", anchor=False)
chosen = st.selectbox(
    "Preset",
    [row.preset for row in rows],
    format_func=lambda name: PRESETS[name].title,
    index=1,
    key="models.preset",
    persist_state="session",
)
st.markdown(PRESETS[chosen].summary)
show_input(next(row for row in rows if row.preset == chosen), PRESETS[chosen].config.prep)
if st.button("Train with this preset", type="primary", icon=":material/model_training:", key="models.train"):
    st.session_state["train.preset"] = chosen
    st.switch_page("pages/train.py")
