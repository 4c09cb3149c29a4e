"""Work of some seconds or minutes behind a button: any click ends it, and its result stays until something else is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import streamlit as st

from ui.widgets.errors import report_errors
from ui.widgets.progress import offer_cancel

Result = TypeVar("Result")


def ask_measured(
    key: str, question: object, label: str, icon: str, measure: Callable[[], Result], *, primary: bool = True
) -> Result | None:
    """Draw the button, measure where it was pressed, and return what is known of this question; None before.

    Parameters
    ----------
    key
        Of the section: "validity.leak".
    question
        What the result depends on; another one's result is not returned.
    label, icon
        Of the button.
    measure
        The work; it draws a :class:`ui.widgets.progress.ProgressBar`, so that a click ends it and keeps nothing.
    primary
        Whether the button is the page's chief one.
    """
    kept = f"{key}.found"
    with st.container(horizontal=True):
        pressed = st.button(label, icon=icon, type="primary" if primary else "secondary", key=f"{key}.start")
        if pressed:
            offer_cancel(f"{key}.cancel", "Ends the work; no result is kept.")
    if pressed:
        st.session_state.pop(kept, None)
        with report_errors():
            st.session_state[kept] = question, measure()
            st.rerun()
    asked, found = st.session_state.get(kept, (None, None))
    return cast("Result | None", found) if asked == question else None
