"""What a data set holds, each question with its own chart, and a browser of its studies."""

from collections import Counter
from functools import partial

import pandas as pd
import streamlit as st

from core.data.clinical.participants import describe_flow, tabulate_covariates
from core.data.study import Cohort, Fault, Study
from ui.cohort.audit_view import show_audit
from ui.cohort.choose import ask_cohort, offer_undo, show_cohort_line, show_series, show_synthetic_truth
from ui.cohort.overlap_view import show_overlap
from ui.cohort.share import show_sharing
from ui.figures.cohort import (
    draw_blank_slices,
    draw_flow,
    draw_labels,
    draw_planes,
    draw_presence,
    draw_slice_counts,
    draw_spacings,
)
from ui.predict.prediction import load_volume, study_stacks
from ui.widgets.errors import report_errors
from ui.widgets.loaders import count_all_slices, count_blanks, load_chosen_cohort
from ui.widgets.page import begin_page
from ui.widgets.state import Scan, choose_scan, current_settings
from ui.widgets.study_view import show_faults, show_notes
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw
from ui.widgets.viewer import show_viewer


def show_numbers(cohort: Cohort) -> None:
    """The cohort in four numbers."""
    persons = len({study.person for study in cohort})
    with st.grid(5, min_column_width=130):
        st.metric("Studies", f"{len(cohort):,}")
        st.metric("Patients", f"{persons:,}", help="Studies of one patient stand in one part of a split.")
        st.metric("Series", f"{sum(1 for _ in cohort.series):,}")
        st.metric("Files", f"{cohort.file_count:,}")
        st.metric("Unreadable", f"{len(cohort.faults):,}")


def show_charts(cohort: Cohort) -> None:
    """One chart for each question."""
    palette = current_palette()
    charts = [
        ("Labels", draw_labels(cohort, palette)),
        ("Which sequences a study has", draw_presence(cohort, palette)),
        ("Planes", draw_planes(cohort, palette)),
        ("Slices per series", draw_slice_counts(count_all_slices(cohort), palette)),
    ]
    if any(series.spacing_mm for series in cohort.series):
        charts.append(("Spacing", draw_spacings(cohort, palette)))
    with st.grid(3, min_column_width=330):
        for title, figure in charts:
            with st.container(border=True, height="stretch", gap="xsmall"):
                st.markdown(f"**{title}**")
                draw(figure, key=f"cohort.{title}", alt=title)
        with st.container(border=True, height="stretch", gap="xsmall"):
            st.markdown("**Blank slices**")
            show_blanks(cohort)


def show_participants(cohort: Cohort) -> None:
    """Who was found, who is excluded and why, who is used, and what is known of them."""
    covariates = {by: tabulate_covariates(cohort, by) for by in ("label", "site")}
    if not cohort.excluded and not covariates["label"]:
        return
    st.subheader("Participants", anchor=False)
    draw(draw_flow(describe_flow(cohort), current_palette()), key="cohort.flow", alt="flow of participants")
    if cohort.excluded:
        with st.expander(f"Excluded studies: {len(cohort.excluded):,}", icon=":material/person_off:"):
            rows = [{"study": study.study_id, "reason": study.excluded} for study in cohort.excluded]
            st.dataframe(pd.DataFrame(rows), hide_index=True)
    sites = {study.covariates.get("site") for study in cohort}
    for by, title in (("label", "By label"), ("site", "By site")):
        if covariates[by] and (by == "label" or len(sites) > 1):
            with st.expander(f"Covariates. {title}", icon=":material/groups:", expanded=by == "label"):
                st.dataframe(pd.DataFrame(covariates[by]), hide_index=True)


def show_blanks(cohort: Cohort) -> None:
    """How many slices hold nothing: needs the pixels, so only when it is asked for."""
    key = f"cohort.blanks.{cohort.digest}"
    if not st.session_state.get(key):
        pressed = st.button(
            "Count blank slices",
            icon=":material/hide_image:",
            key="cohort.count",
            help="Reads every pixel; a click elsewhere cancels it.",
        )
        st.caption("Slices without tissue are left out of training and kept in the viewer. Counting reads every pixel.")
        if not pressed:
            return
        count_blanks(cohort)
        st.session_state[key] = True
        st.rerun()
    counts = count_blanks(cohort)
    blank, total = sum(count.blank for count in counts), sum(count.slices for count in counts)
    draw(draw_blank_slices(counts, current_palette()), key="cohort.blank", alt="blank slices")
    st.caption(f"{blank:,} of {total:,} slices are blank ({blank / max(total, 1):.1%}); none of them is trained on.")
    show_faults(
        [Fault(path=f"{count.study_id}/{count.sequence}", reason=count.fault) for count in counts if count.fault],
        "series could not be read",
    )


def show_browser(cohort: Cohort) -> None:
    """A table of studies; the one that is selected is shown."""
    st.subheader("Studies", anchor=False)
    slices: Counter[str] = Counter()
    for series, count in count_all_slices(cohort):
        slices[series.study_id] += count
    rows = pd.DataFrame(
        {
            "study": [study.study_id for study in cohort],
            "label": ["" if study.label is None else cohort.class_names[study.label] for study in cohort],
            "sequences": [
                ", ".join(dict.fromkeys(str(series.sequence) for series in study.series)) for study in cohort
            ],
            "planes": [", ".join(dict.fromkeys(str(series.plane) for series in study.series)) for study in cohort],
            "slices": [slices[study.study_id] for study in cohort],
        }
    )
    chosen = st.dataframe(
        rows,
        hide_index=True,
        height="content" if len(rows) <= 7 else 290,
        key="cohort.studies.table",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
    )
    picked = chosen.selection.rows
    if picked:
        show_study(cohort, cohort.studies[picked[0]])


def show_study(cohort: Cohort, study: Study) -> None:
    """One study in the viewer."""
    label = "no label" if study.label is None else cohort.class_names[study.label]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Study {plain(study.study_id)}**: {plain(label)}", width="content")
        if cohort.synthetic:
            st.badge("synthetic", icon=":material/science:", color="orange")
        if st.button("Predict this study", icon=":material/neurology:", key="cohort.predict"):
            choose_scan(Scan(kind="study", place=study.study_id))
            st.switch_page("pages/predict.py")
    stacks, faults = study_stacks(study, None)
    show_viewer(stacks, key=f"cohort.{cohort.digest}.{study.study_id}", load=partial(load_volume, study))
    with st.expander("Series", icon=":material/list:"):
        show_series(study, stacks)
    show_faults(faults)


begin_page("Cohort")
cohort = None
with report_errors():
    cohort = load_chosen_cohort()
with st.expander("Choose the data", icon=":material/database:", expanded=cohort is None):
    ask_cohort()
if cohort is None:
    st.info(
        "Nothing is loaded. Make a synthetic cohort, which takes about a second per study, or name a folder "
        "with the competition's data.",
        icon=":material/arrow_upward:",
    )
    st.stop()
show_cohort_line(cohort)
offer_undo()
if cohort.synthetic:
    show_synthetic_truth(cohort)
show_notes(cohort.notes)
show_numbers(cohort)
show_participants(cohort)
show_charts(cohort)
show_faults(cohort.faults)
with report_errors():
    show_audit(cohort)
    if not current_settings().hosted:
        show_overlap(cohort)
with report_errors():
    show_browser(cohort)
show_sharing(cohort)
