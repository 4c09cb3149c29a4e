"""Examples of the chosen cohort as the network will see them, before a run is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.config import RunConfig
from core.data.study import Cohort
from ui.train.augmentation_form import AMOUNTS
from ui.train.fields import label_of
from ui.widgets.errors import report_errors
from ui.widgets.loaders import in_turn
from ui.widgets.state import current_settings
from ui.widgets.text import plain

if TYPE_CHECKING:
    from core.dataset.preview import Preview

TOGETHER = "all together"


@st.cache_data(scope="session", max_entries=4, show_spinner="Preparing a few examples …")
def _load(key: tuple[str, ...], _cohort: Cohort, _config: RunConfig) -> tuple[Preview, ...]:
    from core.dataset.preview import preview_examples  # and with it torch

    with in_turn():
        return preview_examples(_cohort, _config, current_settings())


def show_preview(cohort: Cohort, config: RunConfig) -> None:
    """A row per example: as it is prepared, and as the first epochs change it; drawn when it is asked for."""
    with st.expander("What the network will see", icon=":material/visibility:"):
        if not st.toggle("Show examples of this cohort", key="train.preview"):
            st.caption("A few examples as they are prepared, and as the augmentation changes them from epoch to epoch.")
            return
        config = _ask_change(config)
        with report_errors():
            seen = (config.prep, config.augmentation)
            key = (str(cohort.root), cohort.digest, str(config.seed), *(part.model_dump_json() for part in seen))
            _draw(_load(key, cohort, config), cohort, mixed=config.augmentation.mixup_alpha > 0)


def _ask_change(config: RunConfig) -> RunConfig:
    """All changes that are switched on together, or one of them alone, so that each can be seen by itself."""
    amounts = config.augmentation.model_dump()
    active = [name for name in AMOUNTS if amounts[name]]
    if len(active) < 2:
        return config
    chosen = st.pills(
        "Show",
        [TOGETHER, *active],
        format_func=lambda name: TOGETHER if name == TOGETHER else label_of(name),
        default=TOGETHER,
        required=True,
        key="train.preview.change",
    )
    if chosen == TOGETHER:
        return config
    off = {name: 0.0 for name in AMOUNTS if name != chosen}
    return config.model_copy(update={"augmentation": config.augmentation.model_copy(update=off)})


def _draw(previews: tuple[Preview, ...], cohort: Cohort, *, mixed: bool) -> None:
    for preview in previews:
        name = plain(cohort.class_names[preview.label])
        st.caption(f"{plain(preview.study_id)}, {plain(preview.sequence)} slice {preview.slice_index + 1}: {name}")
        titles = ["as prepared", *(_title(preview, number, mixed) for number in range(len(preview.changed)))]
        with st.grid(len(titles), min_column_width=110, gap="small"):
            for title, image in zip(titles, (preview.original, *preview.changed), strict=True):
                st.image(image, caption=title, alt=title, width="stretch")
    st.caption(
        "Training shows each example anew in every epoch, changed at random as the settings under Augmentation allow. "
        "Validation, test and prediction see it as prepared. Where mixup is on, these examples are blended with each other, "
        "as those of a batch are in training."
    )


def _title(preview: Preview, epoch: int, mixed: bool) -> str:
    """The epoch, and with mixup how much of the blend is of the example's own class."""
    own = f", {preview.shares[epoch][preview.label]:.0%} of its class" if mixed else ""
    return f"epoch {epoch + 1}{own}"
