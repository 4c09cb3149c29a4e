"""Optimism: what choosing the best epoch adds to a figure, and how the same checkpoint does on others."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.errors import MGMTLabError
from core.evaluation.simulated import BestOfEpochs, best_of_noise
from core.training.judgement import read_judgement
from ui.figures.validity import draw_noise_course, draw_optimism, draw_pairs
from ui.loaders import load_card
from ui.text import plain
from ui.theme import current_palette, draw
from ui.validity.answers import ask_answer, show_asking
from ui.validity.subject import judged_runs
from ui.validity.words import say_otherwise, say_simulated

__all__ = ["draw_section"]

DRAWS = 400
ALIKE = {"little (no learning-rate decay)": 0.3, "fairly": 0.7, "very (late, small steps)": 0.95}
CHOSEN, UNTOUCHED = "validation (chose the epoch)", "untouched test patients"


@st.cache_data(max_entries=32, show_spinner="Training models that know nothing …")
def _noise(patients: int, epochs: int, alike: float) -> BestOfEpochs:
    return best_of_noise(patients, epochs, DRAWS, np.random.default_rng([patients, epochs]), alike=alike)


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
        say_simulated()
    with right, st.grid(2, min_column_width=300):
        draw(
            draw_noise_course(found.one_course, current_palette()),
            key="validity.optimism.course",
            alt="AUROC by epoch of a model that knows nothing",
        )
        draw(
            draw_optimism(found.chosen, found.untouched, current_palette()),
            key="validity.optimism.noise",
            alt="AUROC of the best epoch on the patients that chose it and on others",
        )
    say_otherwise(
        "there were one epoch to choose from, or very many patients: the choice then has nothing to work on. "
        "Untouched patients are right with any number of epochs."
    )
    st.markdown("#### Over seeds")
    _show_answer()
    st.markdown("#### Your runs")
    _show_own()


def _show_answer() -> None:
    result = ask_answer("optimism")
    if result is not None:
        pairs = [
            (f"seed {pair['seed']}", pair["validation"]["value"], pair["untouched"]["value"])
            for pair in result["pairs"]
            if pair["validation"]["value"] is not None and pair["untouched"]["value"] is not None
        ]
        names = (CHOSEN, "patients that chose nothing")
        draw(
            draw_pairs(pairs, current_palette(), names), key="validity.optimism.pairs", alt="both figures of each seed"
        )
        st.markdown(f"**{plain(result['sentence'], 500)}**")
    show_asking("optimism", _ask_seeds)


def _ask_seeds() -> tuple[list[str], int]:
    seeds = int(st.number_input("Seeds", 2, 50, 5, key="validity.optimism.seeds", width=140))
    return ["--seeds", str(seeds)], seeds


def _show_own() -> None:
    pairs = []
    for entry in judged_runs():
        try:
            test = read_judgement(entry.run, "test")
            val = (
                load_card(entry.run.checkpoint).metrics.get("val", {}).get("patient", {}).get("auroc", {}).get("value")
            )
        except MGMTLabError:
            continue
        if test is None or val is None or test.leaky or test.patient["auroc"].value is None:
            continue
        pairs.append((entry.run.name, float(val), float(test.patient["auroc"].value)))
    if not pairs:
        st.info(
            "No run split by patient has been judged on its test patients yet. When the plan is final, look at them on "
            "the Runs page; the same checkpoint's two figures then stand here side by side.",
            icon=":material/info:",
        )
        return
    draw(
        draw_pairs(pairs, current_palette(), (CHOSEN, UNTOUCHED)),
        key="validity.optimism.own",
        alt="validation and test",
    )
    gap = float(np.mean([val - test for _, val, test in pairs]))
    st.caption(
        f"Validation less test, the same checkpoint on both: {gap:+.3f} on average over {len(pairs)} "
        f"{'run' if len(pairs) == 1 else 'runs'}. One run says little; its two groups of patients differ by chance, too."
    )
