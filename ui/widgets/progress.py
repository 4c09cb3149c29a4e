"""A progress bar with rate and time left, that is cancelled by any click."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

import streamlit as st

from ui.widgets.text import duration_text, plain, rate_text


def offer_cancel(key: str, what_is_kept: str, undo: Callable[[], None] | None = None) -> None:
    """Draw a Cancel button before work with a :class:`ProgressBar`: the click itself ends it, and calls `undo`."""
    st.button("Cancel", icon=":material/close:", key=key, help=what_is_kept, on_click=undo)


class ProgressBar:
    """A :class:`core.progress.Progress` that draws itself.

    Streamlit ends a script at its next drawing call once the visitor has clicked anything; because this bar
    draws from inside the work, a click (on *Cancel*, say) raises there and the work stops.
    """

    def __init__(self, title: str, unit: str) -> None:
        self._title = title
        self._unit = unit
        self._started = time.monotonic()
        self._drawn = 0.0
        self._bar = st.progress(0.0, text=title)

    def __call__(self, done: int, total: int, what: str = "") -> None:
        """Draw the state of the work, five times a second at most."""
        now = time.monotonic()
        if done < total and now - self._drawn < 0.2:
            return
        self._drawn = now
        elapsed = now - self._started
        rate = done / elapsed if done and elapsed > 0 else None
        left = (total - done) / rate if rate else None
        pace = "" if rate is None else f", {rate_text(rate, self._unit)}, {duration_text(left)} left"
        self._bar.progress(
            min(1.0, done / total) if total else 0.0,
            text=f"{self._title}: {done} of {total} {self._unit}{pace}" + (f" ({plain(what, 60)})" if what else ""),
        )

    def __enter__(self) -> Self:
        """Show the bar for as long as the block takes."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar off the page."""
        self._bar.empty()
