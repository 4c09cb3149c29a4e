"""Which colours a visitor sees, and how a figure is put on a page; the colours are chosen in :mod:`core.palette`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.palette import DARK, LIGHT, Palette, class_colour, new_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["DARK", "LIGHT", "Palette", "class_colour", "current_palette", "draw", "new_figure"]


def current_palette() -> Palette:
    """The palette of the theme that this visitor sees."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def draw(figure: go.Figure, key: str, alt: str) -> None:
    """Show a figure as wide as its place, without plotly's own theme and toolbar."""
    st.plotly_chart(figure, theme=None, key=key, alt=alt, config={"displayModeBar": False, "responsive": True})
