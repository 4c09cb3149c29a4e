"""Intervals: the same model, evaluated on other patients."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.evaluation.metrics import Floats
from core.evaluation.simulated import repeat_evaluation
from core.runs.evaluation import read_evaluation
from ui.figures.validity import draw_studies
from ui.runs.evaluation_figures import show_figures
from ui.runs.evaluation_view import evaluate_validation
from ui.validity.remarks import mark_simulated, show_falsifier
from ui.validity.subject import ask_run, evaluated_runs
from ui.widgets.theme import current_palette, draw

SHOWN = 100
COUNTED = 1000


@st.cache_data(max_entries=32, show_spinner="Repeating the study …")
def _repeat(auroc: float, patients: int) -> Floats:
    return repeat_evaluation(auroc, patients, COUNTED, np.random.default_rng([patients, round(1000 * auroc)]))


def draw_section() -> None:
    """The scatter of one and the same model over many studies, then the run's own figures."""
    st.markdown(
        "Below, one and the same model is evaluated in 100 hospitals, on new patients each time. Nothing about the model "
        "changes; only who happened to be scanned. A figure without its interval is one of these dots, picked blindly."
    )
    left, right = st.columns([1, 3], gap="large")
    with left:
        auroc = st.slider("True AUROC", 0.5, 0.98, 0.62, 0.01, key="validity.intervals.auroc")
        patients = st.select_slider(
            "Patients in each study", [20, 40, 60, 87, 117, 200, 300, 585], 40, key="validity.intervals.n"
        )
        studies = _repeat(auroc, patients)
        held = float(((studies[:, 1] <= auroc) & (auroc <= studies[:, 2])).mean())
        low, high = np.quantile(studies[:, 0], [0.025, 0.975])
        st.metric("Studies whose interval holds the truth", f"{held:.1%}", help="Counted over 1,000; 95% is promised.")
        st.caption(f"95 of 100 studies report an AUROC between {low:.2f} and {high:.2f}; the truth is {auroc:.2f}.")
        missed = int(((studies[:SHOWN, 1] > auroc) | (studies[:SHOWN, 2] < auroc)).sum())
        st.caption(f"Of the {SHOWN} drawn here, {missed} miss it.")
        mark_simulated()
    with right:
        draw(
            draw_studies(studies[:SHOWN], auroc, current_palette()),
            key="validity.intervals.studies",
            alt=f"AUROC with interval of {SHOWN} studies of {patients} patients",
        )
    show_falsifier(
        "the number of patients grew: with four times as many, the dots lie half as far apart. Nothing else helps, and "
        "more slices of the same patients do not."
    )
    if evaluated_runs():
        st.markdown("#### Your run")
        _show_own()


def _show_own() -> None:
    run = ask_run("validity.intervals.run")
    if run is None:
        return
    evaluation = read_evaluation(run, "test") or evaluate_validation(
        str(run.path), (run.path / "predictions.parquet").stat().st_mtime
    )
    part = "untouched test patients" if evaluation.part == "test" else "validation patients, which chose the epoch"
    st.caption(f"By patient, on {part}; the last column says how each interval was made.")
    show_figures(evaluation.patient, "patients")
