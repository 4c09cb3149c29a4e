"""The first batch of the run that the form describes, before it is started."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from core.config import RunConfig
from core.data.study import Cohort
from core.reports.palette import class_colour
from ui.train.measured import ask_measured
from ui.widgets.loaders import in_turn
from ui.widgets.progress import ProgressBar
from ui.widgets.state import current_settings
from ui.widgets.text import plain
from ui.widgets.theme import current_palette

if TYPE_CHECKING:
    from core.dataset.first_batch import BatchExample, FirstBatch

SHOWN = 48
"""Examples that are drawn; a larger batch is said to go on."""


def show_first_batch(cohort: Cohort, config: RunConfig) -> None:
    """Every image of the first batch with its study and label, drawn when it is asked for: the cohort is prepared."""
    key = (str(cohort.root), cohort.digest, config.model_dump_json())
    with st.expander("The first batch", icon=":material/grid_view:"):
        st.caption(
            "Exactly what the first training step will get: split, order, augmentation and labels of this seed. The cohort "
            "is prepared for it as the run would; the cache keeps that."
        )
        batch = ask_measured(
            "train.first_batch",
            key,
            "Show the first batch",
            ":material/grid_view:",
            lambda: _load(cohort, config),
            primary=False,
        )
        if batch is not None:
            _draw(batch, cohort, config)


def _load(cohort: Cohort, config: RunConfig) -> FirstBatch:
    from core.dataset.first_batch import preview_first_batch  # and with it torch

    with in_turn(), ProgressBar("Preparing", "series") as bar:
        return preview_first_batch(cohort, config, current_settings(), progress=bar)


def _draw(batch: FirstBatch, cohort: Cohort, config: RunConfig) -> None:
    counts = [sum(example.label == index for example in batch.examples) for index in range(len(cohort.class_names))]
    named = ", ".join(f"{plain(name)} {count}" for name, count in zip(cohort.class_names, counts, strict=True))
    st.markdown(
        f"**Step 1 of {batch.steps} in epoch 1**: {len(batch.examples)} of {batch.train_examples} training examples "
        f"({named})" + (", split by slice: leaky" if batch.leaky else "")
    )
    palette = current_palette()
    with st.grid(8, min_column_width=96, gap="small"):
        for example in batch.examples[:SHOWN]:
            with st.container(gap="xxsmall"):
                st.image(example.image, width="stretch", alt=f"Training example of {example.study_id}")
                colour = class_colour(palette, example.label, cohort.positive_class, len(cohort.class_names))
                st.html(_caption(example, cohort.class_names[example.label], colour, config))
    if len(batch.examples) > SHOWN:
        st.caption(f"The first {SHOWN} of {len(batch.examples)} are shown.")


def _caption(example: BatchExample, class_name: str, colour: str, config: RunConfig) -> str:
    """Study, sequence and slice, and the label in its class's colour; with mixup its share."""
    share = f" {example.shares[example.label]:.0%}" if config.augmentation.mixup_alpha else ""
    return (
        "<div style='font-size:0.72rem;line-height:1.25;overflow-wrap:anywhere'>"
        f"{escape(example.study_id[:40])} {escape(example.sequence[:24])} {example.slice_index + 1}<br>"
        f"<span style='color:{colour};font-weight:600'>{escape(class_name[:40])}{share}</span></div>"
    )
