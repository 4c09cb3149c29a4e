"""The course of a run: its last step, what does not look right, its best epoch, and its curves."""

from __future__ import annotations

import streamlit as st

from core.evaluation.figure import Figure
from core.figure_text import interval_text, number_text
from core.runs.epoch_figures import corrected_validation_auroc, part_sizes
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord, RunStatus
from core.runs.warning_signs import read_warning_signs
from ui.figures.predictions import draw_moving_predictions
from ui.figures.training import draw_accuracy, draw_auroc, draw_loss, draw_optimiser
from ui.widgets.text import bytes_text, duration_text, plain, rate_text
from ui.widgets.theme import current_palette, draw

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
    epochs = status.epochs or len(records)
    with st.grid(3, min_column_width=280):
        for name, figure in (
            ("loss", draw_loss(records, epochs, palette)),
            ("AUROC", draw_auroc(records, epochs, palette)),
            ("accuracy", draw_accuracy(records, epochs, palette, sizes[2])),
        ):
            draw(figure, key=f"{key}.{name}", alt=f"{name} by epoch")
    left, right = st.columns([1, 2])
    with left:
        draw(
            draw_optimiser(records, epochs, palette), key=f"{key}.optimiser", alt="gradient and learning rate by epoch"
        )
    environment = run.environment()
    names = environment.get("class_names", ())
    moving = draw_moving_predictions(records, names, environment.get("positive_class", 1), palette)
    if moving is not None:
        with right:
            draw(moving, key=f"{key}.predictions", alt="histograms of the predicted probabilities, epoch after epoch")


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
