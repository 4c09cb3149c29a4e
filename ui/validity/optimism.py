"""Optimism: what choosing the best epoch adds to a figure, and how the same checkpoint does on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import MGMTLabError
from core.evaluation.simulated import BestOfEpochs, best_of_noise
from core.evaluation.unpaired import mean_under_dependence
from core.experiments.controls.optimism import KIND, OptimismParameters, Pair, compare_pairs, read_own_pair
from core.figure_text import figure_text, value_text
from core.jobs.experiment import RunOptions
from core.runs.folder import RunFolder
from ui.figures.validity import draw_noise_course, draw_optimism, draw_pairs
from ui.validity.answers import ask_answer, show_asking
from ui.validity.remarks import mark_simulated, show_falsifier
from ui.validity.subject import evaluated_runs
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw

DRAWS = 400
ALIKE = {"little (no learning-rate decay)": 0.3, "fairly": 0.7, "very (late, small steps)": 0.95}
CHOSEN, UNTOUCHED = "validation (chose the epoch)", "untouched test patients"


@st.cache_data(max_entries=32, show_spinner="Training models that know nothing …")
def _noise(patients: int, epochs: int, alike: float) -> BestOfEpochs:
    return best_of_noise(patients, epochs, DRAWS, np.random.default_rng([patients, epochs]), correlation=alike)


def draw_section() -> None:
    """The lesson from pure noise, then the visitor's own runs."""
    st.markdown(
        "A model that knows **nothing** is validated after every epoch, and the best epoch is reported. Its true AUROC is "
        "0.5; look what the report says."
    )
    left, right = st.columns([1, 3], gap="large")
    with left:
        patients = st.select_slider(
            "Validation patients", [12, 20, 30, 60, 117, 234], 30, key="validity.optimism.patients"
        )
        epochs = st.slider("Epochs", 1, 60, 30, key="validity.optimism.epochs")
        alike = ALIKE[
            st.selectbox("Neighbouring epochs are alike", list(ALIKE), index=1, key="validity.optimism.alike")
        ]
        found = _noise(patients, epochs, alike)
        st.metric(
            "Mean of the reported AUROC",
            f"{found.chosen.mean():.2f}",
            f"{found.chosen.mean() - 0.5:+.2f} from nothing",
            delta_color="off",
        )
        st.caption(f"The same epochs on as many other patients: {found.untouched.mean():.2f}. n = {DRAWS} repetitions.")
        mark_simulated()
    with right, st.grid(2, min_column_width=300):
        draw(
            draw_noise_course(found.learning_curve, current_palette()),
            key="validity.optimism.course",
            alt="AUROC by epoch of a model that knows nothing",
        )
        draw(
            draw_optimism(found.chosen, found.untouched, current_palette()),
            key="validity.optimism.noise",
            alt="AUROC of the best epoch on the patients that chose it and on others",
        )
    show_falsifier(
        "there were one epoch to choose from, or very many patients: the choice then has nothing to work on. "
        "Untouched patients are right with any number of epochs."
    )
    st.markdown("#### Over seeds")
    _show_answer()
    st.markdown("#### Your runs")
    _show_own()


def _show_answer() -> None:
    result = ask_answer(KIND)
    if result is not None:
        pairs = [Pair.from_dict(pair) for pair in result["pairs"]]
        names = {pair.run: f"seed {pair.seed}" for pair in pairs}
        _show_pairs([pair for pair in pairs if pair.complete], names, (CHOSEN, "patients that chose nothing"), "pairs")
        # Said anew: an older version's sentence lacks intervals.
        st.markdown(f"**{plain(compare_pairs(pairs)['sentence'], 500)}**")
    show_asking(KIND, _ask_seeds)


def _ask_seeds(run: RunFolder) -> tuple[OptimismParameters, RunOptions, int]:
    seeds = int(st.number_input("Seeds", 2, 50, 5, key="validity.optimism.seeds", width=140))
    return OptimismParameters(seeds=seeds), RunOptions(), seeds


def _show_own() -> None:
    pairs = []
    for entry in evaluated_runs():
        with suppress(MGMTLabError):  # The Runs page says what is wrong with it.
            pair = read_own_pair(entry.run)
            pairs += [] if pair is None else [pair]
    if not pairs:
        st.info(
            "No run split by patient has been evaluated on its test patients yet. When the plan is final, look at them on "
            "the Runs page; the same checkpoint's two figures then stand here side by side. Runs with shuffled labels are "
            "controls and stand aside.",
            icon=":material/info:",
        )
        return
    _show_pairs(pairs, {pair.run: pair.run for pair in pairs}, (CHOSEN, UNTOUCHED), "own")
    gap = mean_under_dependence([pair.gap for pair in pairs])
    runs = f"{len(pairs)} {'run' if len(pairs) == 1 else 'runs'}"
    st.markdown(f"**Validation less test, the same checkpoint on both: {value_text(gap)}, the mean of {runs}.**")
    st.caption(
        "The two groups of patients differ by chance, too, and runs of one cohort share patients: the interval is as wide "
        "as if all runs had the same ones, so that more runs do not make it narrower."
    )


def _show_pairs(pairs: Sequence[Pair], names: Mapping[str, str], groups: tuple[str, str], key: str) -> None:
    rows = [(names[pair.run], pair.validation, pair.untouched) for pair in pairs]
    draw(
        draw_pairs(rows, current_palette(), groups), key=f"validity.optimism.{key}", alt="both figures of each training"
    )
    table = [
        {"training": names[pair.run], groups[0]: figure_text(pair.validation, "patients"), groups[1]: figure_text(pair.untouched, "patients"),
         "difference": figure_text(pair.gap, 'patients')}
        for pair in pairs
    ]  # fmt: skip
    with st.expander("All figures", icon=":material/table:"):
        st.dataframe(pd.DataFrame(table), hide_index=True, height="content")
