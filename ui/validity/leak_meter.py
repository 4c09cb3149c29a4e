"""The leak meter: what a split by slice gives away, in seconds and with nothing trained."""

from __future__ import annotations

import streamlit as st

from core.experiments.controls.leak_meter import LeakMeter
from core.experiments.controls.measurements import LEAK, ask_measurement
from core.figure_text import figure_text
from ui.figures.controls import draw_dose, draw_leak
from ui.validity.measurement import ask_data, ask_measured
from ui.validity.remarks import show_falsifier
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw


def draw_section() -> None:
    """Choose a cohort, measure, and show what follows."""
    st.markdown(
        "Neighbouring slices of one head look almost the same. If slices are dealt out singly, most slices in validation "
        "have such a **sibling in training**, and copying its label is right, whatever the label means. The meter does "
        "just that: it looks for the most similar slice on thumbnails of 24 x 24 pixels. Nothing is trained."
    )
    data = ask_data()
    if data is not None:
        found = ask_measured("validity.leak", ask_measurement(LEAK, *data), "Measure the leak", ":material/speed:")
        if found is not None:
            show_leak(found, key="validity.leak")
    show_falsifier(
        "slices of one head looked no more alike than slices of two: with one slice a patient, or a split by patient, "
        "the two labellings fall to chance together."
    )


def show_leak(found: LeakMeter, key: str) -> None:
    """The sentence, the two splits, and the dose curve."""
    shuffled, honest = found.by_slice_shuffled, found.by_patient
    st.markdown(
        f"With labels **shuffled among the patients**, which no scan can tell, copying the nearest slice is still right for "
        f"**{figure_text(shuffled, 'slices')}** where slices are dealt out singly. The neighbour is the same patient for "
        f"{figure_text(found.same_patient, 'slices')}. With whole patients held out and the **true** labels it is right "
        f"for **{figure_text(honest, 'slices')}**."
    )
    palette = current_palette()
    with st.grid(2, min_column_width=320):
        draw(draw_leak(found, palette), key=f"{key}.bars", alt="accuracy by slice and by patient, true and shuffled")
        draw(draw_dose(found, palette), key=f"{key}.dose", alt="accuracy by the share of patients with siblings")
    synthetic = "synthetic " if found.synthetic else ""
    st.caption(
        f"{found.slices} {plain(', '.join(found.sequences))} slices of {found.patients} {synthetic}patients; "
        f"{found.folds} parts, {found.repeats} times anew. On the right every point evaluates the same slices and searches "
        "equally many: where siblings enter, other patients' slices leave. Intervals (95%) are over patients."
    )
    for note in found.notes:
        st.caption(plain(note))
