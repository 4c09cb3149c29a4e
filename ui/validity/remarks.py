"""Two remarks that every section makes in the same way: what would refute its answer, and what is simulated."""

from __future__ import annotations

import streamlit as st


def show_falsifier(text: str) -> None:
    """Show in one line what would have to be true for this control to come out the other way."""
    st.markdown(f":material/swap_horiz: **It would come out the other way if** {text}")


def mark_simulated() -> None:
    """Mark what comes from a formula or a random generator, not from anybody's scans."""
    st.badge("simulated numbers, no scans", icon=":material/casino:", color="violet")
