"""A scan as it came from the scanner: which steps are done to it, and its slices before and after each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import streamlit as st

from core.data.raw.config import INSTALL, STEP_TITLES, STEPS, RawConfig, require_raw
from core.data.study import Cohort, Study
from ui.predict.scans import processed_folder
from ui.widgets.loaders import in_turn
from ui.widgets.progress import ProgressBar, offer_cancel
from ui.widgets.state import choose_raw, chosen_raw, current_settings


def ask_raw(study: Study) -> RawConfig | None:
    """Ask whether a study is processed from raw, and by which steps; None where it is taken as it came."""
    chosen = chosen_raw(study)
    with st.expander("Is it as it came from the scanner?", icon=":material/build:", expanded=chosen is not None):
        st.caption(
            "A scan that is neither registered nor skull-stripped can go through these steps first. Each is checked, and a scan "
            "that fails a check is refused with the reason. It takes about a minute. Brain extraction learnt from T1w of healthy "
            "adults: look at the slices below."
        )
        steps = st.pills(
            "Steps",
            STEPS,
            selection_mode="multi",
            default=STEPS,
            format_func=STEP_TITLES.__getitem__,
            key="predict.raw.steps",
            persist_state="session",
            help=f"Brain extraction needs deepbet, an extra: {INSTALL}",
        )
        with st.container(horizontal=True, gap="small"):
            if st.button("Process from raw", icon=":material/build:", disabled=not steps, key="predict.raw"):
                choose_raw(study, RawConfig(steps=tuple(step for step in STEPS if step in steps)))
                st.rerun()
            if chosen is not None and st.button("Take it as it came", icon=":material/undo:", key="predict.raw.undo"):
                choose_raw(study, None)
                st.rerun()
    return chosen


def process_chosen(cohort: Cohort, study: Study, config: RawConfig) -> Cohort:
    """Return one study of a cohort, processed from raw: once in a session, and kept only there.

    Raises
    ------
    DataError
        A check failed, or it cannot be read.
    ConfigError
        Brain extraction, or all of it, is not installed.
    """
    require_raw()
    from core.data.raw.cohort import process_scan

    settings = current_settings()
    alone = replace(cohort, studies=(study,), faults=())
    folder = processed_folder(f"{study.study_id} {config.name} {study.series[0].files[0]}")
    place = st.empty()
    with place.container(), in_turn():
        bar = ProgressBar("Processing from raw", "parts")
        offer_cancel(
            "predict.raw.cancel",
            "The scan is taken as it came, once the part at hand is done.",
            lambda: choose_raw(study, None),
        )
        try:
            return process_scan(alone, config, folder, settings, bar)
        finally:
            place.empty()


def show_steps(study: Study) -> None:
    """One slice of each sequence before and after each step, and the figures of the checks."""
    from core.data.raw.process import describe_checks, read_previews, read_record

    folder = Path(study.series[0].files[0]).parent
    record = read_record(folder)
    if record is None:
        return
    previews = read_previews(folder)
    order = list(previews)
    titles: dict[str, str] = {"came": "As it came", **{str(step): title for step, title in STEP_TITLES.items()}}
    with st.expander("Before and after", icon=":material/compare:", expanded=True):
        shown = st.segmented_control(
            "Step",
            ["all", *order[1:]],
            format_func=lambda step: titles.get(step, "All steps"),
            default="all",
            required=True,
            key="predict.raw.shown",
        )
        last = order[-1] if shown == "all" else str(shown)
        for step in (order[0] if shown == "all" else order[order.index(last) - 1], last):
            st.markdown(f"**{'After' if step == last else 'Before'}**: {titles[step].lower()}")
            with st.grid(len(previews[step]), min_column_width=150):
                for sequence, pixels in previews[step].items():
                    st.image(pixels, caption=sequence, alt=sequence, width="stretch")
        st.dataframe(
            describe_checks(record),
            hide_index=True,
            column_config={"measured": st.column_config.TextColumn(width="large")},
        )
        st.caption(
            "One axial slice through the middle of the reference, at the same place in each image. "
            f"{record['processing']}; {record['cpu_seconds']:.0f} CPU seconds."
        )
