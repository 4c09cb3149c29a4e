"""Asking for a cross-validation: data, protocol, folds, seeds, candidates."""

from __future__ import annotations

import re

import streamlit as st

from core.config import RunConfig
from core.experiments.folds.candidates import KIND, CrossValidationParameters, count_members, list_candidates
from core.jobs.experiment import make_question
from ui.train.form import draw_form
from ui.train.protocol import ask_data, ask_preset, config_choices
from ui.widgets.errors import report_errors
from ui.widgets.experiments import ask_start
from ui.widgets.state import chosen_cohort
from ui.widgets.text import plain

EXAMPLE = "learning_rate 0.001 0.0001"


def ask_new() -> None:
    """The form, and the button that starts the cross-validation in a process of its own."""
    st.markdown("**1. Data**")
    cohort = ask_data("A cross-validation")
    st.markdown("**2. Protocol**")
    config = _ask_config()
    st.markdown("**3. Folds, and what is compared inside them**")
    parameters = _ask_parameters()
    source = chosen_cohort()
    if config is None or parameters is None or source is None or cohort is None:
        return
    with report_errors():
        candidates = list_candidates(config, parameters)
        epochs = parameters.folds * parameters.seeds * parameters.inner_folds * sum(one.epochs for _, one in candidates)
        note = (
            f"{count_members(parameters)} trainings, {epochs} epochs in all. It waits behind queued runs, runs with no page "
            f"open, and evaluates every patient of the cohort {'once' if parameters.seeds == 1 else f'{parameters.seeds} times'}, "
            "which the ledger of test-set evaluations counts for other runs' test patients, too."
        )
        ask_start(make_question(KIND, parameters, config, source), "folds", note, "folds")


def _ask_config() -> RunConfig | None:
    preset = ask_preset("folds.preset")
    with report_errors(), st.expander("Values", icon=":material/tune:"):
        st.caption(
            "Whatever the split says, the folds are by patient; its validation share is taken within the patients outside "
            "a fold, and its test share is not used: every patient is in a fold."
        )
        return draw_form(
            preset.config,
            key=f"folds.{preset.name}",
            choices=config_choices(preset),
            typed=("weights",),
        )
    return None


def _ask_parameters() -> CrossValidationParameters | None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        folds = st.number_input("Folds", 2, 20, 5, key="folds.folds", width=130, help="Parts of the patients.")
        seeds = st.number_input(
            "Seeds",
            1,
            20,
            1,
            key="folds.seeds",
            width=130,
            help="Repeats, each with partitions, initial weights and batch order of its own: their spread shows what chance "
            "in training and in dealing out does.",
        )
        inner = st.number_input(
            "Inner folds",
            1,
            10,
            1,
            key="folds.inner",
            width=130,
            help="Within the patients outside a fold: 1 holds a share of them out for validation; more compares candidates "
            "over so many inner folds.",
        )
    text = st.text_area(
        "Candidates to compare inside (nested)",
        key="folds.vary",
        height=90,
        placeholder=EXAMPLE,
        help="The name of a setting and the values to try, on a line each; every combination is a candidate. Leave it "
        "empty to evaluate the one configuration above.",
    )
    vary: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = [word for word in re.split(r"[\s=]+", line.strip()) if word]
        if len(words) == 1:
            st.error(f"{plain(words[0])}: give at least one value after it, for example {plain(EXAMPLE)}.")
            return None
        if words:
            vary[words[0]] = words[1:]
    return CrossValidationParameters(folds=folds, seeds=seeds, inner_folds=inner, vary=vary)
