"""Asking over several cohorts: a checkpoint on each, or each left out of training."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from core.experiments.external.parameters import (
    ExternalParameters,
    ask_external,
    ask_leave_out,
    read_cohort_source,
    subject_name,
)
from core.jobs.experiment import Question
from core.runs.records import DataSource
from ui.train.form import draw_form
from ui.train.protocol import ask_preset, config_choices
from ui.widgets.checkpoints import ask_checkpoint
from ui.widgets.errors import report_errors
from ui.widgets.experiments import ask_start
from ui.widgets.state import chosen_cohort
from ui.widgets.text import plain

EVALUATE, LEAVE_OUT = "Evaluate a checkpoint", "Leave one out"


def ask_new() -> None:
    """The form, and the button that starts it in a process of its own."""
    what = st.segmented_control(
        "Question", [EVALUATE, LEAVE_OUT], default=EVALUATE, required=True, key="external.what"
    )  # fmt: skip
    with report_errors():
        question = _ask_external() if what == EVALUATE else _ask_leave_out()
        if question is not None:
            trains = what == LEAVE_OUT
            named = "" if trains else subject_name(ExternalParameters(**question.parameters))
            note = (
                "It waits behind queued runs and runs with no page open. Every evaluation is counted in the ledger of "
                "test-set evaluations."
            )
            ask_start(question, "leave-out" if trains else f"external-{named}"[:60], note, "external", trains=trains)


def _ask_external() -> Question | None:
    st.markdown("**1. Checkpoint**")
    checkpoint = ask_checkpoint()
    st.markdown("**2. Cohorts that it was not trained on**")
    cohorts = _ask_cohorts("external.cohorts")
    ties = _ask_ties()
    return ask_external(checkpoint, cohorts, **ties) if checkpoint is not None and cohorts else None


def _ask_leave_out() -> Question | None:
    st.markdown("**1. What is left out in turn**")
    by: Literal["cohort", "site"] = st.radio(
        "Left out",
        ("cohort", "site"),
        format_func={"cohort": "whole cohorts", "site": "the sites within one cohort"}.__getitem__,
        horizontal=True,
        key="external.by",
        help="Sites come from the column site of the label table, or from what the public cohort says.",
    )
    cohorts = _ask_cohorts("external.left")
    ties = _ask_ties()
    st.markdown("**2. Protocol**")
    preset = ask_preset("external.preset")
    with st.expander("Values", icon=":material/tune:"):
        config = draw_form(
            preset.config, key=f"external.{preset.name}", choices=config_choices(preset), typed=("weights",)
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        matrix = st.toggle(
            "Also train on each alone",
            key="external.matrix",
            help="As many trainings more; each is evaluated on every other: a matrix of trained on by evaluated on.",
        )
    if config is None or not cohorts:
        return None
    return ask_leave_out(config, cohorts, by=by, matrix=matrix, **ties)


def _ask_cohorts(key: str) -> list[DataSource]:
    """Folders, or files that say how a cohort is read, one a line."""
    current = chosen_cohort()
    text = st.text_area(
        "Cohorts, one a line",
        key=key,
        height=110,
        placeholder="/data/UCSF-PDGM\n/data/UPENN-GBM\n/data/mine.json",
        help="A folder each; or a .json file that says how it is read: root, labels, target, positive, session, as a run's "
        "data.json does. Their order counts: of a person in two of them the first keeps it.",
    )
    places = [line.strip() for line in text.splitlines() if line.strip()]
    if not places:
        said = f" The current one is {plain(current.root)}." if current is not None else ""
        st.caption(f"Name at least one folder.{said}")
    return [read_cohort_source(place, {}) for place in places]


def _ask_ties() -> dict[str, str]:
    """The tables that say who is one person, where there are any."""
    with st.expander("Persons who are in two of them", icon=":material/group:"):
        crosswalk = st.text_input(
            "Crosswalk",
            key="external.crosswalk",
            placeholder="/data/BraTS2021_MappingToTCIA.xlsx",
            help="A table of ids that are one person. Equal UIDs and equal pixels are found without one.",
        )
        pairs = st.text_input(
            "Pairs that only look the same",
            key="external.pairs",
            placeholder="/data/pairs.csv",
            help="They are written there; mark each yes or no in the column same, and start again.",
        )
    return {"crosswalk": crosswalk.strip(), "pairs": pairs.strip()}
