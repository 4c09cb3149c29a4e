"""The course of a run: its last step, what does not look right, its best epoch, and its curves."""

from __future__ import annotations

import streamlit as st

from core.evaluation.figure import Figure, estimand_of
from core.figure_text import interval_text, number_text
from core.runs.epoch_figures import corrected_validation_auroc, part_sizes
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord, RunStatus
from core.runs.warning_signs import read_warning_signs
from ui.figures.predictions import draw_moving_predictions
from ui.figures.training import CurveLook, draw_accuracy, draw_auroc, draw_loss, draw_optimiser
from ui.widgets.text import bytes_text, duration_text, plain, rate_text
from ui.widgets.theme import current_palette, draw

ACCURACIES = (
    "Accuracy is said in two ways: the curves count slices, each for the class of its larger output, as training sees it; "
    "an evaluation counts patients and slices at the threshold that was fitted after training. The two differ."
)
NO_LIMITS = "no interval: these patients chose the epoch"


def show_last_step(status: RunStatus) -> None:
    """What the last training step said, and what it costs, in one line; nothing before the first."""
    if status.loss is None:
        return
    gradient = "none" if status.gradient_norm is None else f"{status.gradient_norm:.3g}"
    rate = "none" if status.learning_rate is None else f"{status.learning_rate:.3g}"
    gpu = f", GPU **{bytes_text(status.gpu_memory_bytes)}**" if status.gpu_memory_bytes else ""
    st.caption(
        f"Last step: loss **{status.loss:.3f}**, gradient norm **{gradient}**, learning rate **{rate}** · "
        f"**{rate_text(status.images_per_second, 'images')}** · memory so far **{bytes_text(status.memory_bytes)}**{gpu}"
    )


def show_warning_signs(run: RunFolder) -> None:
    """What does not look right after the last epoch, in one box; nothing where all does."""
    signs = read_warning_signs(run)
    if signs:
        st.warning("\n".join(f"- {plain(sign.message, 500)}" for sign in signs), icon=":material/warning:")


def show_learning_curves(run: RunFolder, status: RunStatus, key: str) -> None:
    """The figures of the best epoch, the curves by epoch, and the predictions as they move."""
    records = run.epochs()
    if not records:
        st.caption("Curves appear with the first finished epoch.")
        return
    palette = current_palette()
    sizes = part_sizes(run, "val")
    _show_best(records, sizes, corrected_validation_auroc(run))
    st.caption(f"{ACCURACIES} {estimand_of('runs')}")
    epochs, look = status.epochs or len(records), _ask_look(key)
    with st.grid(3, min_column_width=280):
        for name, figure in (
            ("loss", draw_loss(records, epochs, palette, look)),
            ("AUROC", draw_auroc(records, epochs, palette, look)),
            ("accuracy", draw_accuracy(records, epochs, palette, sizes[2], look)),
        ):
            draw(figure, key=f"{key}.{name}", alt=f"{name} by epoch")
    left, right = st.columns([1, 2])
    with left:
        draw(
            draw_optimiser(records, epochs, palette, look),
            key=f"{key}.optimiser",
            alt="gradient and learning rate by epoch",
        )
    environment = run.environment()
    names = environment.get("class_names", ())
    moving = draw_moving_predictions(records, names, environment.get("positive_class", 1), palette)
    if moving is not None:
        with right:
            draw(moving, key=f"{key}.predictions", alt="histograms of the predicted probabilities, epoch after epoch")


def _ask_look(key: str) -> CurveLook:
    """How the curves are drawn."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        smoothing = st.slider(
            "Smoothing",
            0.0,
            0.95,
            0.0,
            0.05,
            key=f"{key}.smoothing",
            width=220,
            help="Weight of the epochs before, as TensorBoard smooths; the values themselves stay as faint lines.",
        )
        log = st.toggle("Log scale", key=f"{key}.log", help="Of the loss and the gradient norm.")
    return CurveLook(smoothing=smoothing, log=log)


def _show_best(records: list[EpochRecord], sizes: tuple[int, int, float | None], corrected: Figure) -> None:
    patients, slices, majority = sizes
    best = next((record for record in reversed(records) if record.best), records[-1])
    guess = "" if majority is None else f"guessing {majority:.3f}, "
    memory = f", {bytes_text(best.memory_bytes)}" if best.memory_bytes else ""
    limits = interval_text(corrected.low, corrected.high)
    by_choice = (
        f"corrected for the choice of the epoch {number_text(corrected.value)}, 95%: {limits}" if limits else NO_LIMITS
    )
    figures = (
        (
            "Validation AUROC by patient",
            number_text(best.val_patient_auroc),
            f"{by_choice}, n = {patients}",
        ),
        (
            "Validation accuracy by slice",
            number_text(best.val_accuracy),
            f"{guess}n = {slices}",
        ),
        ("Validation loss", number_text(best.val_loss), f"training {best.train_loss:.3f}"),
        (
            "Best epoch",
            str(best.epoch),
            f"{len(records)} finished, {duration_text(best.seconds)} each, "
            f"{rate_text(records[-1].images_per_second, 'images')}{memory}",
        ),
    )
    with st.grid(4, min_column_width=160):
        for title, value, below in figures:
            with st.container(gap="xxsmall"):
                st.metric(title, value)
                st.caption(below)
