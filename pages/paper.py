"""The paper: what it claims, what a run gives in the same place, and why the split decides."""

import streamlit as st

from ui.figures.twin import draw_split_sketch
from ui.paper.claims import ask_claim_run, show_claims, show_unreconciled, show_unstated
from ui.paper.network import show_network
from ui.paper.twin_start import ask_twin
from ui.paper.twin_view import ask_pair, own_pairs, show_pair
from ui.validity.remarks import show_falsifier
from ui.widgets.errors import report_errors
from ui.widgets.page import begin_page
from ui.widgets.theme import current_palette, draw


def explain() -> None:
    """Why the two curves part, in two images and four sentences."""
    st.markdown(
        "A head is scanned as a stack of slices, and neighbouring slices look almost alike: they are **siblings**. Dealt out "
        "**by slice**, an evaluated slice has siblings in training, with the same label; a network that recognizes the head "
        "has the answer, whatever the tumour looks like. Dealt out **by patient**, it must read the tumour. "
        "The twin run trains the same network both ways, on equally many slices, and evaluates both on the same ones."
    )
    palette = current_palette()
    with st.grid(2, min_column_width=300):
        with st.container(gap="xsmall"):
            st.markdown("**By slice**: each evaluated slice has siblings in training")
            draw(
                draw_split_sketch(True, palette), key="paper.sketch.slice", alt="evaluated slices among training slices"
            )
        with st.container(gap="xsmall"):
            st.markdown("**By patient**: the evaluated head is new")
            draw(draw_split_sketch(False, palette), key="paper.sketch.patient", alt="one whole patient is evaluated")


begin_page("The paper, and the twin run", trains=True)
st.markdown(
    "A. Kaymak and M. İ. Demir, *Classification of Brain Tumors in Multi-Modal MR Images Using Deep Spatio-Spatial Model*: "
    "a ResNet18 with ImageNet weights on single slices, 30 epochs, a peak validation accuracy of **90.87%**. The paper does "
    "not state its split unit. That figure is shown here as its claim, not as performance."
)
st.subheader("Why the split decides", anchor=False)
explain()
st.subheader("The twin run", anchor=False)
pair = None
with report_errors():
    pairs = own_pairs()
    with st.expander("A new twin run", icon=":material/add_circle:", expanded=not pairs):
        ask_twin("paper.twin")
    pair = ask_pair(pairs, key="paper.pair")
    if pair is not None:
        with st.container(border=True):
            show_pair(pair, key="paper")
show_falsifier(
    "the tumour itself told the label as clearly as the head tells the patient, or siblings looked no more alike than "
    "strangers: the two curves would then lie on each other."
)
st.subheader("Each claim, beside a run", anchor=False)
with report_errors():
    show_claims(ask_claim_run(pair))
unstated, unreconciled = st.columns(2, gap="large")
with unstated:
    st.subheader("Not stated", anchor=False)
    show_unstated()
with unreconciled:
    st.subheader("Not reconciled", anchor=False)
    show_unreconciled()
with st.expander("The network that the paper describes", icon=":material/schema:"):
    show_network()
