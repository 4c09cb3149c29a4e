"""Which colours a visitor sees, and how a figure is put on a page; the colours are chosen in :mod:`core.reports.palette`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.reports.palette import DARK, LIGHT, Palette

if TYPE_CHECKING:
    import plotly.graph_objects as go


def current_palette() -> Palette:
    """The palette of the theme that this visitor sees."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def draw(figure: go.Figure, key: str, alt: str) -> None:
    """Show a figure as wide as its place, without plotly's own theme and toolbar."""
    st.plotly_chart(figure, theme=None, key=key, alt=alt, config={"displayModeBar": False, "responsive": True})
