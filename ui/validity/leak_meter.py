"""The leak meter: what a split by slice gives away, in seconds and with nothing trained."""

from __future__ import annotations

import streamlit as st

from core.data.study import Cohort
from core.experiments.controls.leak_meter import LeakMeter, measure_cohort
from core.figure_text import figure_text
from ui.figures.controls import draw_dose, draw_leak
from ui.validity.data import ask_data
from ui.validity.remarks import show_falsifier
from ui.widgets.loaders import BY_COHORT
from ui.widgets.measured import ask_measured
from ui.widgets.progress import ProgressBar
from ui.widgets.state import current_settings
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw


def draw_section() -> None:
    """Choose a cohort, measure, and show what follows."""
    st.markdown(
        "Neighbouring slices of one head look almost the same. If slices are dealt out singly, most slices in validation "
        "have such a **sibling in training**, and copying its label is right, whatever the label means. The meter does "
        "just that: it looks for the most similar slice on thumbnails of 24 x 24 pixels. Nothing is trained."
    )
    cohort = ask_data()
    if cohort is not None:
        found = ask_measured(
            "validity.leak", cohort.digest, "Measure the leak", ":material/speed:", lambda: measured_leak(cohort)
        )
        if found is not None:
            show_leak(found, key="validity.leak")
    show_falsifier(
        "slices of one head looked no more alike than slices of two: with one slice a patient, or a split by patient, "
        "the two labellings fall to chance together."
    )


@st.cache_data(max_entries=8, show_spinner=False, hash_funcs=BY_COHORT)
def measured_leak(cohort: Cohort) -> LeakMeter:
    """The meter's result on a cohort; measured once.

    Raises
    ------
    EvaluationError
        Too few labelled patients.
    """
    with ProgressBar("Preparing slices", "series") as bar:
        return measure_cohort(cohort, current_settings(), progress=bar)


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
