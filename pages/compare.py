"""Runs side by side: how far apart they are on the patients they share, and in what they differ."""

from typing import cast

import streamlit as st

from core.experiments.comparison.comparison import MOST_RUNS, ComparedPart
from ui.compare.comparison import (
    follow,
    load_comparison,
    offer_files,
    show_curves,
    show_differences,
    show_figures_of_runs,
    show_settings,
)
from ui.runs.runs import find_own_run, own_runs
from ui.widgets.errors import report_errors
from ui.widgets.page import begin_page
from ui.widgets.text import plain

PARTS = {"val": "Validation", "test": "Test, where evaluated"}


def ask_runs(names: list[str]) -> list[str]:
    """Which runs; those in the address at first."""
    named = [name for name in st.query_params.get_all("run") if name in names]
    chosen = st.multiselect(
        "Runs",
        names,
        default=named[:MOST_RUNS] if len(named) > 1 else names[: min(3, len(names))],
        max_selections=MOST_RUNS,
        key="compare.runs",
    )
    st.query_params["run"] = chosen
    return chosen


begin_page("Compare")
names = [entry.run.name for entry in own_runs() if entry.run.epochs()]
if len(names) < 2:
    st.info("A comparison takes two runs that have finished an epoch each.", icon=":material/compare_arrows:")
    st.page_link("pages/train.py", label="Train", icon=":material/model_training:")
    st.stop()
chosen = ask_runs(names)
if len(chosen) < 2:
    st.caption("Choose two runs or more.")
    st.stop()
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    part = st.segmented_control(
        "Evaluated on",
        list(PARTS),
        format_func=PARTS.__getitem__,
        default="val",
        required=True,
        key="compare.part",
        help="Test patients are compared only where every run has been evaluated on them before; a comparison opens none.",
    )
    reference = st.selectbox("Compared with", chosen, key="compare.reference", width=320)
with report_errors(stop=True):
    runs = [find_own_run(name) for name in chosen]
    comparison = load_comparison(runs, cast(ComparedPart, part), reference)
for note in comparison.notes:
    if note.startswith("Leaky"):
        st.warning(plain(note, 600), icon=":material/warning:")
    else:
        st.caption(plain(note, 600))
st.markdown(f"#### AUROC by patient, less that of {plain(comparison.reference)}")
show_differences(comparison)
show_curves(comparison)
st.markdown(f"#### Figures, on {comparison.whose}")
show_figures_of_runs(comparison)
st.markdown("#### In what they differ")
show_settings(comparison)
offer_files(comparison)
follow(runs, cast(ComparedPart, part), reference)
