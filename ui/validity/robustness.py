"""Robustness: how far answers move with disturbed images; and the positive control: whether anything is found at all."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.evaluation.figure import Figure
from core.experiments.controls.robustness_question import KIND, RobustnessParameters
from core.experiments.external.parameters import digest_file
from core.experiments.study.parameters import POSITIVE, PositiveParameters
from core.figure_text import figure_text
from core.jobs.experiment import RunOptions
from core.runs.folder import RunFolder
from ui.figures.validity import draw_moves
from ui.validity.answers import ask_answer, show_asking
from ui.validity.remarks import show_falsifier
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw


def draw_section() -> None:
    """Disturb the validation images of a run, and show how far each patient's answer moves."""
    st.markdown(
        "The same patient on another day, another scanner, a slice further on: the label is the same, so the answer should "
        "be. The **validation** images of a run are disturbed, one way at a time, and scored again; no test patient is spent."
    )
    result = ask_answer(KIND)
    if result is not None:
        _show(result)
    show_asking(KIND, _ask_checkpoint, whom="the images of its validation patients are disturbed")
    show_falsifier(
        "the answer hung on noise, sharpness or window, which say nothing of the tumour: it would move with them."
    )


def _ask_checkpoint(run: RunFolder) -> tuple[RobustnessParameters, RunOptions, int]:
    return RobustnessParameters(run=str(run.path), sha256=digest_file(run.checkpoint)), RunOptions(), 0


def _show(found: dict[str, Any]) -> None:
    st.markdown(f"**{plain(found['sentence'], 500)}.**")
    moves = found["moves"].values()
    draw(
        draw_moves([(one["title"], Figure(**one["changed"])) for one in moves], current_palette()),
        key="validity.robustness.moves",
        alt="share of patients whose class changes, by disturbance",
    )
    rows = [
        {
            "disturbed by": one["title"],
            "probability moves by": figure_text(one["probability"], "patients"),
            "class changes of": figure_text(one["changed"], "patients"),
        }
        for one in moves
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    with st.expander("Patient by patient: change of the probability", icon=":material/table:"):
        st.dataframe(pd.DataFrame({one["title"]: one["patients"] for one in moves}).round(3))


def draw_positive() -> None:
    """Ask for another target of the same persons, and show both figures side by side."""
    st.markdown(
        "An AUROC of 0.5 means one of two things: there is nothing to find, or this pipeline finds **nothing at all**. The same "
        "configuration is cross-validated on another target of the same persons that images do show: IDH, or the width of "
        "the oedema in a synthetic cohort."
    )
    result = ask_answer(POSITIVE)
    if result is not None:
        st.markdown(f"**{plain(result['sentence'], 500)}.**")
        rows = [(result["target"], Figure(**result["control"])), ("the target itself", Figure(**result["own"]))]
        draw(
            draw_moves(rows, current_palette(), x="AUROC by patient", chance=0.5),
            key="validity.positive.areas",
            alt="AUROC of both targets",
        )
    show_asking(POSITIVE, _ask_target, whom="they are left out, and all others dealt into folds", without_test=True)
    show_falsifier(
        "the pipeline were blind: wrong slices, a learning rate that trains nothing, too few patients for any target."
    )


def _ask_target(run: RunFolder) -> tuple[PositiveParameters, RunOptions, int]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target = st.text_input(
            "Column",
            placeholder="IDH",
            key="validity.positive.target",
            help="Empty: a synthetic cohort's second trait.",
        )
        value = st.text_input("Positive value", placeholder="mutant", key="validity.positive.value")
        folds = int(st.number_input("Folds", 2, 20, 5, key="validity.positive.folds", width=120))
    parameters = PositiveParameters(target=target or None, positive=value or None, folds=folds)
    return parameters, RunOptions(), 2 * folds
