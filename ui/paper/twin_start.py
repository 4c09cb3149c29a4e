"""One click to a twin run: on the chosen cohort, or on a synthetic one that is made for it."""

from __future__ import annotations

import streamlit as st

from core.config import RunConfig, apply_settings
from core.data.study import Cohort
from core.experiments.controls.leak_meter import meter_prep
from core.experiments.twin.lesson import find_obstacle
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.runs.records import DataSource
from core.settings import Settings
from ui.cohort.choose import show_cohort_line
from ui.cohort.synthetic import make_synthetic
from ui.paper.twin_view import start_pair
from ui.widgets.errors import report_errors
from ui.widgets.loaders import load_chosen_cohort, load_cohort
from ui.widgets.progress import offer_cancel
from ui.widgets.state import choose_cohort, chosen_cohort, current_settings

QUICK, PAPER = "Quick: 96 px, one sequence, random weights", "The paper's protocol: 224 px, ImageNet weights, 30 epochs"
QUICK_SETTINGS = (
    "weights=none",
    "crop=true",
    "fit=pad",
    "slice_count=16",
    "slice_span=0.36",
    "epochs=12",
    "step_size=9",
    "learning_rate=0.01",
)
DEMO = PhantomConfig(studies=40, signal=1, seed=0, slices=48, size=96)
"""Slices 2.5 mm apart, as in the real cohort's thinner series: siblings look alike."""


def ask_twin(key: str, *, shuffled: bool | None = None) -> None:
    """The start button, with what it will do; `shuffled` fixes whether labels are shuffled, None asks."""
    cohort = load_chosen_cohort()
    if cohort is not None:
        show_cohort_line(cohort)
    way = st.radio("Configuration", [QUICK, PAPER], key=f"{key}.way", horizontal=True, label_visibility="collapsed")
    shuffle = shuffled
    if shuffle is None:
        shuffle = st.toggle(
            "Shuffle the labels among the patients first (nothing is left to learn)", key=f"{key}.shuffle"
        )
    seed = 0
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if shuffle:
            seed = int(st.number_input("Seed of the shuffle", 0, None, 0, key=f"{key}.seed", width=160))
        own, obstacle = cohort is not None, find_obstacle(cohort) if cohort else ""
        made = (obstacle or not own) and st.button(
            "Make the cohort for this lesson and start" if own else "Make a synthetic cohort and start the twin run",
            type="primary",
            icon=":material/science:",
            key=f"{key}.made" if own else f"{key}.start",
        )
        pressed = own and st.button(
            "Start on this cohort all the same" if obstacle else "Start the twin run",
            type="secondary" if obstacle else "primary",
            icon=":material/compare_arrows:",
            key=f"{key}.start",
        )
    if obstacle:
        st.info(
            f"{obstacle} A synthetic cohort of {DEMO.studies} studies was made for this lesson; yours stays the current one.",
            icon=":material/school:",
        )
    st.caption(
        "Two trainings in the queue, one after the other, of some minutes each; the run says how long is left. "
        "Both arms are evaluated on the same test slices at the end, which counts as one evaluation of these patients."
    )
    if pressed or made:
        with report_errors():
            _start(None if made else cohort, quick=way == QUICK, seed=seed if shuffle else None)
            st.rerun()


def _start(cohort: Cohort | None, *, quick: bool, seed: int | None) -> None:
    settings = current_settings()
    source = chosen_cohort()
    if cohort is None or source is None:
        source = _make_demo(settings)
        cohort = load_cohort(source)
        if chosen_cohort() is None:
            choose_cohort(source)
    config = _quick_config(cohort) if quick else find_preset("paper").config
    if settings.hosted:
        config = config.model_copy(update={"epochs": min(config.epochs, settings.hosted_epochs)})
    start_pair(config, source.model_copy(update={"shuffle_seed": seed}))


def _quick_config(cohort: Cohort) -> RunConfig:
    config = find_preset("paper").config
    return apply_settings(config.model_copy(update={"prep": meter_prep(cohort)}), QUICK_SETTINGS)


def _make_demo(settings: Settings) -> DataSource:
    studies = min(DEMO.studies, settings.hosted_studies) if settings.hosted else DEMO.studies
    config = DEMO.model_copy(update={"studies": studies})
    offer_cancel("twin.demo.cancel", "What is made so far is taken up next time.")
    return make_synthetic(f"{studies}-studies-for-the-twin-run", config)
