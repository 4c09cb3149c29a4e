"""The steps that every training begins with, alike on Train, Folds and Sweeps: data, protocol, networks and weights."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.data.study import Cohort
from core.models.registry import ARCHITECTURES
from core.presets import PRESETS, Preset
from ui.cohort.choose import ask_cohort, show_cohort_line
from ui.widgets.errors import report_errors
from ui.widgets.loaders import load_chosen_cohort

WEIGHTS = {"default": "pretrained (ImageNet; Kinetics for videos)", "none": "random (trained from scratch)"}


def ask_data(what: str) -> Cohort | None:
    """The current cohort in a line, or the ways to one; `what` needs it, as "Training"."""
    cohort = None
    with report_errors():
        cohort = load_chosen_cohort()
    if cohort is None:
        st.info(f"{what} needs a cohort. Make a synthetic one here, or name a folder.", icon=":material/database:")
        ask_cohort()
    else:
        show_cohort_line(cohort)
    return cohort


def ask_preset(key: str) -> Preset:
    """The protocol to start from."""
    names = list(PRESETS)
    name = st.selectbox(
        "Protocol",
        names,
        format_func=lambda preset: PRESETS[preset].title,
        index=names.index("honest"),
        key=key,
        persist_state="session",
    )
    return PRESETS[name]


def config_choices(preset: Preset) -> dict[str, Mapping[str, str]]:
    """What the form offers by name: the networks that take what the preset prepares, and the weights to start from."""
    form = ARCHITECTURES[preset.config.architecture].input_form
    titles = {name: entry.title for name, entry in ARCHITECTURES.items() if entry.input_form == form}
    return {"architecture": titles, "weights": WEIGHTS}
