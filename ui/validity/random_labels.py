"""Random labels: the twin run where nothing can be learnt."""

from __future__ import annotations

import streamlit as st

from ui.paper.twin_start import ask_twin
from ui.paper.twin_view import ask_pair, own_pairs, show_pair
from ui.validity.remarks import show_falsifier


def draw_section() -> None:
    """Start a pair on shuffled labels, and show the newest one."""
    st.markdown(
        "The labels are **dealt out to the patients anew**: no scan can tell them. With siblings in training the network "
        "still looks good, because it recognizes heads. Without, it must fall to chance; the best of many epochs on few "
        "validation patients still lies above 0.5 by choice alone, which is why the test patients are shown beside it."
    )
    pairs = own_pairs(shuffled=True)
    with st.expander("A new run on shuffled labels", icon=":material/add_circle:", expanded=not pairs):
        ask_twin("validity.random", shuffled=True)
    pair = ask_pair(pairs, key="validity.random.pair")
    if pair is not None:
        show_pair(pair, key="validity.random")
    show_falsifier(
        "a split by patient still let something of the evaluated patients through (two ids of one person, a duplicate): the "
        "arm without siblings would then beat chance on shuffled labels."
    )
