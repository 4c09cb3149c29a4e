"""Power: how many patients it takes, before anybody is scanned."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import MGMTLabError, StorageError
from core.evaluation.power import (
    DESIGNS,
    Design,
    development_sizes,
    patients_needed,
    power_of,
    smallest_auroc,
    validation_sizes,
)
from core.phantom.cohort import read_phantom
from core.phantom.config import best_auroc
from core.runs.folder import RunFolder
from ui.figures.validity import draw_dial, draw_power
from ui.validity.remarks import mark_simulated, show_falsifier
from ui.validity.subject import evaluated_runs
from ui.widgets.loaders import load_card
from ui.widgets.theme import current_palette, draw

FEWEST = 20
"""Patients with whom every design can be planned."""


def draw_section() -> None:
    """Patients against power, the visitor's own number on it, and the synthetic cohort's dial."""
    st.markdown(
        "A study that is too small cannot fail honestly: it finds nothing where there is something, or finds a chance "
        "figure and calls it a result. Choose what you hope for and see how many patients would show it."
    )
    left, right = st.columns([1, 3], gap="large")
    with left:
        value = st.slider("AUROC that you hope for", 0.51, 0.95, 0.60, 0.01, key="validity.power.value")
        design: Design = st.selectbox(
            "Compared with", list(get_args(Design)), format_func=DESIGNS.__getitem__, key="validity.power.design"
        )
        other = st.slider(
            "That fixed value" if design in ("known", "folds") else "The other model's AUROC",
            0.5,
            0.95,
            0.5 if design in ("known", "folds") else 0.55,
            0.01,
            key=f"validity.power.other.{design}",
        )
        correlation = (
            st.slider("Correlation of the two AUROCs", 0.0, 0.95, 0.5, 0.05, key="validity.power.correlation")
            if design == "paired"
            else 0.5
        )
        own = int(
            st.number_input(
                "Patients that you can evaluate", FEWEST, 100_000, _own_patients(), 1, key="validity.power.n"
            )
        )
    needed = {
        power: patients_needed(value, other, power=power, design=design, correlation=correlation)
        for power in (0.8, 0.9)
    }
    with right:
        grid = np.unique(np.geomspace(FEWEST, max(2000, 2 * own, 2 * (needed[0.8] or 0)), 120).round())
        curve = np.array([power_of(value, other, patients=n, design=design, correlation=correlation) for n in grid])
        draw(
            draw_power(grid, {f"{value:.2f} against {other:.2f}": curve}, {"yours": own}, current_palette()),
            key="validity.power.chart",
            alt=f"power against patients for an AUROC of {value}",
        )
    _say(value, other, own, design, correlation, needed)
    st.markdown("#### A signal of known strength")
    _show_dial()


def _own_patients() -> int:
    """Patients that the newest run holds out, or those of one hold-out of the competition's cohort."""
    for entry in evaluated_runs():
        try:
            return max(FEWEST, load_card(entry.run.checkpoint).patients.get("test", 0) or 117)
        except MGMTLabError:
            continue
    return 117


def _say(
    value: float, other: float, own: int, design: Design, correlation: float, needed: dict[float, int | None]
) -> None:
    reached = power_of(value, other, patients=own, design=design, correlation=correlation)
    each = " in each group" if design == "unpaired" else ""
    with st.grid(3, min_column_width=200):
        st.metric(f"Your chance with {own} patients{each}", f"{reached:.0%}")
        st.metric(f"Patients for 80%{each}", "more than 10 million" if needed[0.8] is None else f"{needed[0.8]:,}")
        st.metric(
            f"Smallest AUROC that {own} tell from 0.5",
            f"{smallest_auroc(own, design='folds' if design == 'folds' else 'known'):.2f}",
            help="In 80 of 100 studies.",
        )
    whole = power_of(0.6, patients=585, design="folds")
    st.caption(
        "Two-sided at 5%, share of positives 0.525 as in the competition's cohort, variance of the AUROC by the binormal "
        "model. For an AUROC of 0.60 one hold-out of 117 patients has 46% power. All 585 would have 99% for one model that "
        f"was trained elsewhere; a cross-validation over them, whose networks share training patients, has {whole:.0%}, "
        "give or take 4 points by how much chance made the networks."
    )
    _show_sizes(value)
    show_falsifier(
        f"the true AUROC were further from {other:.2f}: the number needed falls with the square of the distance. "
        "More slices, seeds or epochs do not change it."
    )


def _show_sizes(value: float) -> None:
    parameters = int(st.number_input("Coefficients of the model", 1, 10_000, 10, key="validity.power.parameters"))
    developed, judged = development_sizes(value, parameters), validation_sizes(value)
    st.dataframe(
        pd.DataFrame(
            {
                "A study that": ["develops a model"] * 3 + ["validates a model"] * 3,
                "reaches": [
                    "shrinkage of 0.9 at least",
                    "optimism in R² of 0.05 at most",
                    "the overall risk within 0.05",
                    "calibration slope within 0.2",
                    "O:E within 0.1",
                    "AUROC within 0.05",
                ],
                "with patients": [*developed.values(), *judged.values()],
            }
        ),
        hide_index=True,
    )
    st.caption(
        f"For an AUROC of {value:.2f} (Riley and others, 2020 and 2021). A network has no number of coefficients: what it takes "
        "to develop one is not known, and is no less than a plain model on as many features needs."
    )


def _show_dial() -> None:
    st.markdown(
        "In the synthetic cohort nobody has to guess what could be reached: its one trait carries a signal of so many "
        "standard deviations, and the best possible AUROC is Φ(signal/√2). A model far below the line learnt badly; one "
        "above it, by more than its interval, has leaked."
    )
    runs = []
    for entry in evaluated_runs():
        signal = _read_signal(entry.run)
        if signal is None:
            continue
        try:
            found = load_card(entry.run.checkpoint).reported_auroc()
        except MGMTLabError:
            continue
        if found:
            figure = found[1]
            runs.append((f"{entry.run.name} ({found[0]})", signal, figure["value"], figure["low"], figure["high"]))
    draw(draw_dial(runs, current_palette()), key="validity.power.dial", alt="best possible AUROC against the signal")
    if runs:
        st.caption("Each run's AUROC by patient with its interval; hover for its name and whose patients they are.")
    else:
        mark_simulated()
        st.caption(
            f"No run on a synthetic cohort yet. At signal 1 nobody can pass {best_auroc(1):.2f}, at 3 {best_auroc(3):.2f}: "
            "make a cohort on the Cohort page, train on it, and its figure appears here."
        )


@st.cache_data(max_entries=64, show_spinner=False)
def _signal(root: str) -> float | None:
    for folder in (Path(root), Path(root).parent):  # a run may name the cohort, or its train folder
        try:
            return read_phantom(folder).signal
        except StorageError:
            continue
    return None


def _read_signal(run: RunFolder) -> float | None:
    """The signal of the synthetic cohort that a run was trained on; None for another cohort, or one that is gone."""
    source = run.source
    return None if source.shuffle_seed is not None else _signal(source.root)
