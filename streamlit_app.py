"""MGMT Lab in the browser: ``streamlit run streamlit_app.py``."""

from functools import partial
from pathlib import Path

import streamlit as st

from ui.runs.runs import wake_queue
from ui.runs.trash import empty_old_trash
from ui.widgets.address import keep_choices, restore_choices
from ui.widgets.page import enter_app
from ui.widgets.state import remember_visitor

ASSETS = Path(__file__).parent / "ui" / "assets"


def draw() -> None:
    """Draw the app for one session."""
    st.set_page_config(page_title="MGMT Lab", page_icon=str(ASSETS / "icon.svg"), layout="wide")
    st.logo(str(ASSETS / "logo.svg"), size="large")
    enter_app()
    remember_visitor()
    restore_choices()
    empty_old_trash()
    wake_queue()
    page = st.navigation(
        [
            st.Page("pages/home.py", title="Home", icon=":material/home:", default=True),
            st.Page("pages/predict.py", title="Predict", icon=":material/neurology:", url_path="predict"),
            st.Page("pages/pacs.py", title="From a PACS", icon=":material/lan:", url_path="pacs"),
            st.Page("pages/cohort.py", title="Cohort", icon=":material/database:", url_path="cohort"),
            st.Page("pages/models.py", title="Models", icon=":material/schema:", url_path="models"),
            st.Page("pages/train.py", title="Train", icon=":material/model_training:", url_path="train"),
            st.Page("pages/runs.py", title="Runs", icon=":material/monitoring:", url_path="runs"),
            st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:", url_path="compare"),
            st.Page("pages/sweeps.py", title="Sweeps", icon=":material/tune:", url_path="sweeps"),
            st.Page(
                "pages/cross_validation.py",
                title="Cross-validation",
                icon=":material/splitscreen:",
                url_path="cross_validation",
            ),
            st.Page("pages/external.py", title="External", icon=":material/public:", url_path="external"),
            st.Page("pages/paper.py", title="Paper", icon=":material/article:", url_path="paper"),
            st.Page("pages/referee.py", title="Referee", icon=":material/gavel:", url_path="referee"),
            st.Page("pages/validity.py", title="Validity", icon=":material/balance:", url_path="validity"),
        ],
        position="top",
    )
    if page.url_path:  # Home is the app itself
        st.set_page_config(page_title=f"{page.title} · MGMT Lab")
    try:
        page.run()
    finally:  # a page may end early, or ask to be drawn anew
        keep_choices()


if __name__ == "__main__":
    draw()
else:  # the server itself imports this file, once, before any session
    from starlette.middleware import Middleware

    from core.settings import load_settings
    from ui.server.ending import watch_sessions
    from ui.server.gate import Gate, choose_options, choose_token
    from ui.server.niivue import niivue_route

    settings = load_settings()
    choose_options(settings)
    gate = Middleware(Gate, settings=settings, start_token=choose_token(settings))
    app = st.App(__file__, routes=[niivue_route()], middleware=[gate], lifespan=partial(watch_sessions, settings))
