"""What a person can put right is told in one box; everything else stays loud."""

from __future__ import annotations

from types import TracebackType

import streamlit as st

from core.errors import MGMTLabError
from ui.widgets.text import plain


class report_errors:  # noqa: N801 - reads as a verb where it is used
    """Turn an :class:`MGMTLabError` inside the block into one ``st.error``.

    Parameters
    ----------
    stop
        End the page there instead of going on after the block.
    """

    def __init__(self, *, stop: bool = False) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        """Nothing needs to be prepared."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Tell what a person can put right; let everything else through."""
        if not isinstance(error, MGMTLabError):
            return False
        st.error(plain(error, limit=800), icon=":material/error:")
        if self._stop:
            st.stop()
        return True
