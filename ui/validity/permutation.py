"""Permutation: where the result lies among those of shuffled labels."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.experiments.controls.measurements import FROZEN, ask_measurement
from core.experiments.controls.permutation import KIND, RERUNS, PermutationParameters
from core.figure_text import figure_text, p_text
from core.jobs.experiment import RunOptions
from core.runs.folder import RunFolder
from ui.figures.controls import draw_null
from ui.validity.answers import ask_answer, show_asking
from ui.validity.measurement import ask_data, ask_measured
from ui.validity.remarks import show_falsifier
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw

FAST, AGAIN = "Fast: frozen features", "Reruns of the training"
SHUFFLES = 499


def draw_section() -> None:
    """The fast form on the chosen cohort, or what reruns of a training found."""
    st.markdown(
        "The labels are shuffled by patient, again and again, and everything is repeated. The **p-value** is the share of "
        "shuffles that do at least as well as the true labels, the true one counted with them: p = (1 + b)/(1 + N)."
    )
    way = st.segmented_control("Form", [FAST, AGAIN], default=FAST, required=True, key="validity.permute.way")
    if way == FAST:
        _fast()
    else:
        _reruns()
    show_falsifier(
        "the scans told more, or less, of the label: with nothing to tell, the line lies among the shuffles; with something, "
        "beyond nearly all of them. A small p says that something predicts the label, not that it is the tumour."
    )


def _fast() -> None:
    st.caption(
        "A linear model on what an untrained or ImageNet network says of each slice, averaged by patient. It is another, "
        "weaker model than a trained network: it can miss what training would find."
    )
    data = ask_data()
    if data is None:
        return
    weights = st.radio(
        "Features of a ResNet18 with",
        ["none", "default"],
        format_func={"none": "random weights", "default": "ImageNet weights"}.__getitem__,
        horizontal=True,
        key="validity.permute.weights",
    )
    question = ask_measurement(FROZEN, *data, weights=weights, permutations=SHUFFLES)
    found = ask_measured("validity.permute", question, f"Shuffle {SHUFFLES} times", ":material/shuffle:")
    if found is not None:
        _show(found)


def _reruns() -> None:
    st.caption(
        "Each shuffle is a whole training: split, epochs and choice of the best one. With N shuffles p cannot be below "
        "1/(1 + N): 19 reach 0.05."
    )
    result = ask_answer(KIND)
    if result is not None:
        _show(result)
    show_asking(KIND, _ask_shuffles, whom="the figures are of validation patients")


def _ask_shuffles(run: RunFolder) -> tuple[PermutationParameters, RunOptions, int]:
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        shuffles = int(st.number_input("Shuffles", 1, 999, RERUNS, key="validity.permute.shuffles", width=140))
        parallel = int(st.number_input("At the same time", 1, 64, 1, key="validity.permute.parallel", width=160))
    return PermutationParameters(), RunOptions(count=shuffles, parallel=parallel), shuffles + 1


def _show(found: dict[str, Any]) -> None:
    observed, null = found["observed"], found["null"]
    draw(
        draw_null(
            null,
            observed["value"],
            f"true labels {observed['value']:.3f}, {p_text(found['p'])}",
            current_palette(),
            "AUROC by patient",
        ),
        key="validity.permute.null",
        alt="AUROC of shuffled labels as a histogram, the true labels' as a line",
    )
    what = (
        f"{plain(found['backbone'])}, frozen; logistic regression, five folds by patient"
        if found["kind"] == "frozen features"
        else "validation patients, which chose the epoch, in every shuffle alike"
    )
    st.markdown(
        f"Observed AUROC **{figure_text(observed, 'patients')}**; "
        f"**{p_text(found['p'])}** with N = {len(null)} shuffles {found.get('within', 'among all patients')} ({what})."
    )
    if found.get("leaky"):
        st.warning(
            "The split is by slice: shuffled labels do well too, so that a high figure here means little.",
            icon=":material/warning:",
        )
    if found.get("synthetic"):
        st.caption("The scans are synthetic.")
