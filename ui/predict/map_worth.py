"""What is known of whether a map is true, as it stands under the images."""

from __future__ import annotations

import streamlit as st

from core.explain.methods import INPUT, METHODS
from core.explain.validation.saliency_record import read_saliency_record
from core.figure_text import value_text
from core.models.card import CheckpointCard


def show_map_worth(card: CheckpointCard, method: str, layer: str) -> None:
    """The sentence of :func:`map_worth`, and the way to the test."""
    st.caption(map_worth(card, method, layer))
    st.page_link(
        "pages/validity.py", label="Are the maps true?", icon=":material/target:", query_params={"section": "maps"}
    )


def map_worth(card: CheckpointCard, method: str, layer: str) -> str:
    """Say how often this map hit the tumour where its place is known, or that nobody knows; in Markdown."""
    test = read_saliency_record(card)
    place = layer if METHODS[method].by_layer else INPUT
    if test is None or (test.method, test.layer) != (method, place):
        title = METHODS[method].title
        return f"Whether {title} at `{place}` points at what matters has not been tested for this checkpoint."
    learnt, chance, random = (value_text(figure) for figure in (test.hits, test.chance, test.random_hits))
    return (
        f"Put to the test on {test.pictures} images of {test.studies} synthetic studies: strongest inside the tumour in "
        f"**{learnt}**; a place drawn at random in the head would be in {chance}, the network with random weights in {random}."
    )
