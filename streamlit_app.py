"""MGMT Lab in the browser: ``streamlit run streamlit_app.py``."""

from pathlib import Path

import streamlit as st

from ui.runs.runs import wake_queue
from ui.runs.trash import empty_old_trash
from ui.widgets.page import enter_app
from ui.widgets.state import remember_visitor

ASSETS = Path(__file__).parent / "ui" / "assets"

st.set_page_config(page_title="MGMT Lab", page_icon=str(ASSETS / "icon.svg"), layout="wide")
st.logo(str(ASSETS / "logo.svg"), size="large")
enter_app()
remember_visitor()
empty_old_trash()
wake_queue()
st.navigation(
    [
        st.Page("pages/home.py", title="Home", icon=":material/home:", default=True),
        st.Page("pages/predict.py", title="Predict", icon=":material/neurology:", url_path="predict"),
        st.Page("pages/cohort.py", title="Cohort", icon=":material/database:", url_path="cohort"),
        st.Page("pages/models.py", title="Models", icon=":material/schema:", url_path="models"),
        st.Page("pages/train.py", title="Train", icon=":material/model_training:", url_path="train"),
        st.Page("pages/runs.py", title="Runs", icon=":material/monitoring:", url_path="runs"),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:", url_path="compare"),
        st.Page("pages/sweeps.py", title="Sweeps", icon=":material/tune:", url_path="sweeps"),
        st.Page("pages/cross_validation.py", title="Folds", icon=":material/splitscreen:", url_path="cross_validation"),
        st.Page("pages/external.py", title="External", icon=":material/public:", url_path="external"),
        st.Page("pages/paper.py", title="Paper", icon=":material/article:", url_path="paper"),
        st.Page("pages/referee.py", title="Referee", icon=":material/gavel:", url_path="referee"),
        st.Page("pages/validity.py", title="Validity", icon=":material/balance:", url_path="validity"),
    ],
    position="top",
).run()
