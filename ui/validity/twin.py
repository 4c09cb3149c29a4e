"""Twin run: what siblings in training are worth; and the same with shuffled labels, where nothing can be learnt."""

from __future__ import annotations

import streamlit as st

from ui.paper.twin_start import ask_twin
from ui.paper.twin_view import ask_pair, own_pairs, show_pair
from ui.validity.remarks import show_falsifier


def draw_section() -> None:
    """Start a pair, and show the newest one."""
    st.markdown(
        "One configuration, trained twice on equally many slices and evaluated on the **same** test slices. In one arm other "
        "slices of the evaluated patients, their **siblings**, are in training; in the other they are not. "
        "Else they differ only in that the first arm sees more heads, which may make a part of the difference."
    )
    _show_pairs("A new twin run", key="validity.twin", shuffled=False)
    show_falsifier(
        "the tumour told the label as clearly as the head tells the patient: the arm without siblings would keep up."
    )


def draw_random_labels() -> None:
    """Start a pair on shuffled labels, and show the newest one."""
    st.markdown(
        "The labels are **dealt out to the patients anew**: no scan can tell them. With siblings in training the network "
        "still looks good, because it recognizes heads. Without, it must fall to chance; the best of many epochs on few "
        "validation patients still lies above 0.5 by choice alone, which is why the test patients are shown beside it."
    )
    _show_pairs("A new run on shuffled labels", key="validity.random", shuffled=True)
    show_falsifier(
        "a split by patient still let something of the evaluated patients through (two ids of one person, a duplicate): the "
        "arm without siblings would then beat chance on shuffled labels."
    )


def _show_pairs(title: str, key: str, *, shuffled: bool) -> None:
    """Let the visitor start a pair and choose among those there are."""
    pairs = own_pairs(shuffled=shuffled)
    with st.expander(title, icon=":material/add_circle:", expanded=not pairs):
        ask_twin(key, shuffled=shuffled)
    pair = ask_pair(pairs, key=f"{key}.pair")
    if pair is not None:
        show_pair(pair, key=key)
