"""How every page begins."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

ENTERED = "entered"


def enter_app() -> None:
    """Note that the entry point ran; it calls this before anything else."""
    st.session_state[ENTERED] = True


def begin_page(title: str) -> None:
    """Draw the page's title; the first call of every page.

    When the first request that a server gets is a deep link, Streamlit takes the ``pages`` folder for its older kind
    of app and runs the page by itself, without the entry point and its navigation. Then the page asks for the entry
    point here and is run again within it.
    """
    if not st.session_state.get(ENTERED):
        PagesManager.uses_pages_directory = False
        st.rerun()
    st.title(title, anchor=False)
