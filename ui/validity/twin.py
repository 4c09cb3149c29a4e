"""Twin run: what siblings in training are worth."""

from __future__ import annotations

import streamlit as st

from ui.paper.twin_start import ask_twin
from ui.paper.twin_view import ask_pair, own_pairs, show_pair
from ui.validity.remarks import show_falsifier


def draw_section() -> None:
    """Start a pair, and show the newest one."""
    st.markdown(
        "One configuration, trained twice on equally many slices and evaluated on the **same** test slices. In one arm other "
        "slices of the evaluated patients, their **siblings**, are in training; in the other they are not. Nothing else differs."
    )
    pairs = own_pairs(shuffled=False)
    with st.expander("A new twin run", icon=":material/add_circle:", expanded=not pairs):
        ask_twin("validity.twin", shuffled=False)
    pair = ask_pair(pairs, key="validity.twin.pair")
    if pair is not None:
        show_pair(pair, key="validity.twin")
    show_falsifier(
        "the tumour told the label as clearly as the head tells the patient: the arm without siblings would keep up."
    )
