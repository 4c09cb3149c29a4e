"""How good a run is: on validation, on the untouched test patients when asked, or on another cohort."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.data.study import Cohort
from core.errors import MGMTLabError
from core.evaluation.figure import ESTIMANDS
from core.runs.evaluation import (
    EvaluatedPart,
    Evaluation,
    count_test_evaluations,
    describe_looks,
    describe_overlap,
    read_evaluation,
)
from core.runs.evaluation import evaluate_validation as evaluate_stored
from core.runs.folder import RunFolder
from core.runs.persons import describe_history, trace_persons
from core.runs.seal import seal_of_run
from core.training.evaluate import evaluate_run
from ui.runs.evaluation_figures import show_level
from ui.runs.patients import show_patients
from ui.widgets.loaders import load_card, load_chosen_cohort
from ui.widgets.progress import ProgressBar
from ui.widgets.state import current_settings
from ui.widgets.text import plain

PAIRS = "pairs.csv"
"""In MGMT_LAB_HOME: pairs of persons that look like one scan, for the person to mark."""
PARTS: dict[EvaluatedPart, str] = {"val": "Validation", "test": "Test", "data": "Another cohort"}


def show_evaluation(run: RunFolder) -> None:
    """Let the visitor choose who is evaluated, and show the evaluation; the test patients only after a click that counts."""
    if not run.checkpoint.exists():
        st.caption("There is nothing to evaluate before the first finished epoch.")
        return
    part: EvaluatedPart = st.segmented_control(
        "Evaluated on",
        list(PARTS),
        format_func=PARTS.__getitem__,
        default="val",
        required=True,
        key=f"judge.{run.name}.part",
    )
    if part == "val":
        predictions = run.path / "predictions.parquet"
        _show(evaluate_validation(str(run.path), predictions.stat().st_mtime), run)
    elif part == "test":
        _show_test(run)
    else:
        _show_other(run)


@st.cache_data(max_entries=16, show_spinner="Evaluating the validation patients …")
def evaluate_validation(path: str, changed: float) -> Evaluation:
    """Evaluate from what the best epoch said of the validation slices; `changed` is when its predictions were written."""
    return evaluate_stored(RunFolder(Path(path)))


def _show_test(run: RunFolder) -> None:
    settings = current_settings()
    split, seen = run.split(), count_test_evaluations(run, settings)
    units = "slices" if split.leaky else "patients"
    stored = read_evaluation(run, "test")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        pressed = st.button(
            "Evaluate on the test patients" if stored is None else "Evaluate again",
            icon=":material/visibility:",
            key=f"judge.{run.name}.look",
            type="primary" if stored is None else "secondary",
            disabled=not split.test,
        )
        st.caption(
            f"{len(split.test)} test {units}, evaluated {seen} {'time' if seen == 1 else 'times'} so far, by any run. "
            "Each look is counted: choosing between runs by their test figures makes the figures optimistic.",
            width="stretch",
        )
    if stored is None and (known := describe_history(trace_persons(run, settings).to_dict())):
        st.caption(f":material/history: {known}")
    if pressed:
        with ProgressBar("Evaluating the test patients", "slices") as bar:
            evaluate_run(run, "test", settings, progress=bar)
        st.rerun()
    if stored is not None:
        _show(stored, run)


def _show_other(run: RunFolder) -> None:
    cohort = load_chosen_cohort()
    if cohort is None:
        st.info("Load another cohort on the Cohort page; the run is then evaluated on all of its labelled studies.")
        st.page_link("pages/cohort.py", label="Cohort", icon=":material/database:")
        return
    stored = read_evaluation(run, "data", cohort.digest)
    st.caption(
        f"The current cohort: {plain(cohort.root)}, {len(cohort.labelled)} labelled studies. This look is counted too."
    )
    if st.button("Evaluate on this cohort", icon=":material/visibility:", key=f"judge.{run.name}.other"):
        _evaluate_other(run, cohort)
    if stored is not None:
        _show(stored, run)


def _evaluate_other(run: RunFolder, cohort: Cohort) -> None:
    settings = current_settings()
    pairs = None if settings.hosted else settings.home / PAIRS
    with ProgressBar("Evaluating on another cohort", "slices") as bar:
        evaluate_run(run, "test", settings, other=cohort, progress=bar, pairs=pairs)
    st.rerun()


def _show(evaluation: Evaluation, run: RunFolder) -> None:
    _show_meaning(evaluation, run)
    st.caption(ESTIMANDS["checkpoint"])
    for unit, labels, logits, figures in (
        ("patients", evaluation.patient_labels, evaluation.patient_logits, evaluation.patient),
        ("slices", evaluation.slice_labels, evaluation.slice_logits, evaluation.slice),
    ):
        st.markdown(f"**By {unit[:-1]}**")
        show_level(
            labels,
            logits,
            figures,
            unit=unit,
            class_names=evaluation.class_names,
            positive_class=evaluation.positive_class,
            threshold=evaluation.threshold,
            temperature=evaluation.temperature,
            key=f"judge.{run.name}.{evaluation.part}",
        )
        if unit == "patients":
            show_patients(evaluation, run)


def _show_meaning(evaluation: Evaluation, run: RunFolder) -> None:
    with st.container(horizontal=True, gap="xsmall"):
        if evaluation.synthetic:
            st.badge("synthetic", icon=":material/science:", color="orange")
        if evaluation.leaky:
            st.badge("leaky split", icon=":material/warning:", color="red")
        st.badge(f"weights of epoch {evaluation.epoch}", color="gray")
    words = {
        "val": "Validation patients chose the epoch: only the AUROC by patient can be corrected for that, and the other "
        "figures have no interval.",
        "test": f"Test patients, which chose nothing. Evaluated {evaluation.looked_at} "
        f"{'time' if evaluation.looked_at == 1 else 'times'} when this was made.",
        "data": f"Another cohort: {plain(evaluation.data)}.",
    }
    st.caption(words[evaluation.part])
    for sentence in describe_looks(evaluation):
        st.caption(f":material/visibility: {plain(sentence, 400)}")
    if evaluation.part == "test":
        report = seal_of_run(run, current_settings(), evaluation.judged)
        icon = {"followed": ":material/verified:", "none": ":material/lock_open:"}.get(
            report.state, ":material/warning:"
        )
        st.caption(f"{icon} {plain(report.words, 600)}")
    if evaluation.leaky:
        st.caption(
            "Slices of one patient stand on both sides of this split; the patients here are not new to the model."
        )
    try:
        newer = load_card(run.checkpoint).epoch
    except MGMTLabError:
        return
    if newer != evaluation.epoch:
        st.caption(f":material/info: The best weights are now of epoch {newer}; evaluate again to see them.")
    for note in (*describe_overlap(evaluation.overlap), *evaluation.notes):
        st.caption(plain(note, 400))
