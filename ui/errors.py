"""What a person can put right is told in one box; everything else stays loud."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import MGMTLabError
from ui.text import plain

__all__ = ["telling_errors"]


@contextmanager
def telling_errors(*, stop: bool = False) -> Iterator[None]:
    """Turn an :class:`MGMTLabError` inside the block into one ``st.error``.

    Parameters
    ----------
    stop
        End the page there instead of going on after the block.
    """
    try:
        yield
    except MGMTLabError as error:
        st.error(plain(error, limit=800), icon=":material/error:")
        if stop:
            st.stop()
