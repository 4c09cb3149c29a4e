"""Which colours a visitor sees, and how a figure is put on a page; the colours are chosen in :mod:`core.reports.palette`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.reports.palette import DARK, LIGHT, Palette
from ui.figures.description import describe_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go


def current_palette() -> Palette:
    """The palette of the theme that this visitor sees."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def draw(figure: go.Figure, key: str, alt: str) -> None:
    """Show a figure as wide as its place, without plotly's own theme; of its toolbar, the button that saves the image.

    Its title `alt` and what it shows are there in words for whoever cannot see it. No name in it becomes a link.
    """
    shown = type(figure)(without_links(figure.to_plotly_json()))
    shown.update_layout(paper_bgcolor=current_palette().surface)  # a saved image can be read on any page
    name = re.sub(r"[^a-z0-9]+", "-", alt.casefold()).strip("-")[:60]
    config = {
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": "png", "scale": 2, "filename": name},
        "displaylogo": False,
        "responsive": True,
    }
    st.plotly_chart(shown, theme=None, key=key, alt=f"{alt}: {describe_figure(figure)}", config=config)


def without_links(content: Any) -> Any:
    """Return a figure's content in which plotly finds no link: charts of ours have none, so one would be a stranger's."""
    if isinstance(content, str):
        return re.sub(r"<(?=\s*/?a\b)", "&lt;", content, flags=re.IGNORECASE)
    if isinstance(content, dict):
        return {name: without_links(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [without_links(value) for value in content]
    if getattr(content, "dtype", None) == np.dtype(object):
        return without_links(content.tolist())
    return content
