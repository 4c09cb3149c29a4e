"""What every section says in the same way: what it would take for the answer to be another."""

from __future__ import annotations

import streamlit as st


def say_otherwise(text: str) -> None:
    """One line: what would have to be true for this control to come out the other way."""
    st.markdown(f":material/swap_horiz: **It would come out the other way if** {text}")


def say_simulated() -> None:
    """Mark what comes from a formula or a random generator, not from anybody's scans."""
    st.badge("simulated numbers, no scans", icon=":material/casino:", color="violet")
