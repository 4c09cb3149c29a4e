"""Whom a section speaks of: one of the visitor's runs, or a simulated model where there is none yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import streamlit as st

from core.evaluation.aggregate import log_odds
from core.evaluation.calibration import choose_threshold, fit_temperature, measure_calibration, to_probabilities
from core.evaluation.figure import Figure
from core.evaluation.metrics import Floats, Integers
from core.evaluation.simulated import simulate_patients
from core.runs.evaluation import Evaluation, calibration_figures, read_evaluation
from core.runs.folder import RunEntry, RunFolder
from ui.runs.evaluation_view import evaluate_validation
from ui.runs.runs import own_runs
from ui.validity.remarks import mark_simulated
from ui.widgets.errors import report_errors
from ui.widgets.loaders import load_card

LAST_RUN = "validity.last_run"
SIMULATED = "a simulated model"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """Patients with a class and an answer."""

    name: str
    whose: str
    """Which patients these are, in words."""
    labels: Integers
    """(patients,)."""
    logits: Floats
    """(patients, classes), before the temperature."""
    class_names: tuple[str, ...]
    positive_class: int
    threshold: float
    temperature: float
    calibration: dict[str, Figure]
    """How far the probabilities that people receive are off (:func:`core.runs.evaluation.calibration_figures`)."""
    calibrated: str
    """On whom temperature, threshold and sets were fitted, in words."""
    promises: tuple[str, ...] = ()
    """What the checkpoint's own sets promise of each class."""
    key: str
    """Tells its charts from others."""
    selected: bool = False
    """These patients chose the epoch and the threshold: no intervals."""

    @property
    def probabilities(self) -> Floats:
        """Calibrated: (patients, classes)."""
        return to_probabilities(self.logits, self.temperature)

    @property
    def positive(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(patients,)."""
        return cast("np.ndarray[tuple[int], np.dtype[np.bool_]]", self.labels == self.positive_class)


def evaluated_runs() -> list[RunEntry]:
    """This visitor's runs that have a checkpoint, newest first."""
    return [entry for entry in own_runs() if entry.run.checkpoint.exists()]


def ask_run(key: str = "validity.run") -> RunFolder | None:
    """Let the visitor choose among his runs; without any, say where to get one."""
    entries = evaluated_runs()
    if not entries:
        st.info("No trained run yet. Train one (a synthetic cohort and a minute will do), then come back.")
        st.page_link("pages/train.py", label="Train", icon=":material/model_training:")
        return None
    names = [entry.run.name for entry in entries]
    wanted = st.session_state.get(LAST_RUN)
    name = st.selectbox("Run", names, index=names.index(wanted) if wanted in names else 0, key=key)
    st.session_state[LAST_RUN] = name
    return entries[names.index(name)].run


def remember_run(run: RunFolder) -> None:
    """Let the sections begin with this run."""
    st.session_state[LAST_RUN] = run.name
    for key in [
        key for key in st.session_state if isinstance(key, str) and key.startswith("validity.") and key.endswith("run")
    ]:
        if key != LAST_RUN:
            del st.session_state[key]


def ask_subject() -> Subject | None:
    """Let the visitor choose a run or a simulated model; None where the run cannot be used."""
    entries = evaluated_runs()
    sources = [*(["one of my runs"] if entries else []), SIMULATED]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        source = st.segmented_control(
            "Look at", sources, default=sources[0], required=True, key="validity.source", persist_state="session"
        )
        if source == SIMULATED or source not in sources:
            return _ask_simulated(offer_training=not entries)
        run = ask_run()
    with report_errors():
        assert run is not None
        return _of_run(run)
    return None


def _of_run(run: RunFolder) -> Subject | None:
    evaluation = read_evaluation(run, "test")
    if evaluation is None:
        evaluation = evaluate_validation(str(run.path), (run.path / "predictions.parquet").stat().st_mtime)
    if len(evaluation.class_names) != 2:
        st.info("This section is for two classes; the run has more.", icon=":material/info:")
        return None
    whose = (
        f"{len(evaluation.patient_ids)} untouched test patients"
        if evaluation.part == "test"
        else f"{len(evaluation.patient_ids)} validation patients, which chose the epoch, the temperature and the threshold"
    )
    _show_badges(evaluation)
    card = load_card(run.checkpoint)
    return Subject(
        name=run.name,
        whose=whose,
        labels=evaluation.patient_labels,
        logits=evaluation.patient_logits,
        class_names=evaluation.class_names,
        positive_class=evaluation.positive_class,
        threshold=evaluation.threshold,
        temperature=evaluation.temperature,
        calibration=calibration_figures(evaluation),
        calibrated=card.describe_calibration(),
        promises=tuple(card.describe_sets()),
        key=f"{run.name}.{evaluation.part}",
        selected=evaluation.part == "val",
    )


def _show_badges(evaluation: Evaluation) -> None:
    with st.container(horizontal=True, gap="xsmall"):
        st.badge("test patients" if evaluation.part == "test" else "validation patients", color="gray")
        if evaluation.synthetic:
            st.badge("synthetic", icon=":material/science:", color="orange")
        if evaluation.leaky:
            st.badge("leaky split", icon=":material/warning:", color="red")
    if evaluation.part == "val":
        st.caption(
            "The test patients of this run have not been evaluated; these are its validation patients, which chose "
            "its epoch: what is shown of them is better than is true. Evaluate on the test patients on the Runs page when the plan is final."
        )


def _ask_simulated(*, offer_training: bool) -> Subject:
    area = st.slider("True AUROC", 0.5, 0.98, 0.65, 0.01, key="validity.simulated.auroc")
    patients = st.select_slider("Patients", [24, 40, 60, 87, 117, 200, 300, 585], 117, key="validity.simulated.n")
    sharpness = st.slider(
        "Overconfidence",
        0.5,
        4.0,
        2.0,
        0.5,
        key="validity.simulated.sharpness",
        help="1 is calibrated; 2 makes every log odds twice as large as is true.",
    )
    labels, logits = simulate_patients(area, patients, np.random.default_rng(7), sharpness=sharpness)
    mark_simulated()
    if offer_training:
        st.page_link("pages/train.py", label="Train a run to see your own here", icon=":material/model_training:")
    other_labels, other_logits = simulate_patients(area, patients, np.random.default_rng(8), sharpness=sharpness)
    temperature = fit_temperature(other_labels, other_logits)
    threshold = choose_threshold(other_labels, to_probabilities(other_logits, temperature)[:, 1])
    return Subject(
        name=SIMULATED,
        whose=f"{patients} simulated patients",
        labels=labels,
        logits=logits,
        class_names=("unmethylated", "methylated"),
        positive_class=1,
        threshold=threshold,
        temperature=temperature,
        calibration=measure_calibration(labels == 1, log_odds(logits / temperature, 1)),
        calibrated=f"fitted on {patients} other simulated patients",
        key="simulated",
    )
