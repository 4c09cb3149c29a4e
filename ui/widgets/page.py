"""How every page begins."""

from __future__ import annotations

import time
from importlib.util import find_spec

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

ENTERED = "entered"
"""When the app's last whole run began in this session, by ``time.monotonic``."""


READABLE = """<style>
[data-testid="stSliderThumbValue"] p, button[data-variant][data-selected="true"] p {
  color: CanvasText;
}
canvas[data-testid="data-grid-canvas"]:focus-visible { outline: 2px solid Highlight; outline-offset: -2px; }
</style>"""
"""Streamlit writes the first in the primary colour, which on the dark page no colour can be that white reads well on, too. A table
one row of which is chosen shows the keyboard's focus nowhere else."""


def enter_app() -> None:
    """Note when the entry point ran, and make small words and the focus of tables visible; it calls this before anything else."""
    st.session_state[ENTERED] = time.monotonic()
    st.html(READABLE)


def began_at() -> float | None:
    """When the whole run of the app began that asks, by ``time.monotonic``; None in a part that is drawn alone, or outside."""
    context = get_script_run_ctx()
    if context is None or context.fragment_ids_this_run:
        return None
    return st.session_state.get(ENTERED)


NEEDS_TORCH = (
    "This page trains networks, which needs PyTorch, and this is the small environment of `make demo`. `make app` installs "
    "the whole lab (about 7 GB) beside it, in a folder of its own."
)


def begin_page(title: str, *, trains: bool = False) -> None:
    """Draw the page's title; the first call of every page. One that `trains` ends here where PyTorch is not installed.

    When the first request that a server gets is a deep link, Streamlit takes the ``pages`` folder for its older kind
    of app and runs the page by itself, without the entry point and its navigation. Then the page asks for the entry
    point here and is run again within it.
    """
    if not st.session_state.get(ENTERED):
        PagesManager.uses_pages_directory = False
        st.rerun()
    st.title(title, anchor=False)
    if trains and find_spec("torch") is None:
        st.info(NEEDS_TORCH, icon=":material/download:")
        st.stop()
