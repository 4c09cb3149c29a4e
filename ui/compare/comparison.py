"""A comparison on the page: what to know, figures, differences, curves, settings, and the files to take away."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from core.evaluation.figure import estimand_of
from core.evaluation.figures import FIGURE_TITLES
from core.experiments.comparison.comparison import ComparedPart, Comparison, compare_runs
from core.experiments.comparison.differences import value_words
from core.figure_text import figure_text, value_text
from core.reports.comparison_figures import (
    COURSES,
    draw_courses,
    draw_differences,
    draw_reliability_of_runs,
    draw_roc_of_runs,
    has_course,
)
from core.reports.comparison_page import write_comparison_page
from core.reports.comparison_table import write_comparison_table
from core.runs.folder import RunFolder
from ui.runs.runs import ACTIVE
from ui.train.fields import label_of
from ui.widgets.errors import report_errors
from ui.widgets.state import current_settings
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw

WATCHED = (
    "config.json", "data.json", "epochs.jsonl", "predictions.parquet", "best.safetensors", "tags.json",
    "evaluation-test.json",
)  # fmt: skip
"""Files of a run that a comparison is made from; of its status, which is written at every step, only the state."""
FOLLOW_SECONDS = 5.0


def load_comparison(runs: Sequence[RunFolder], part: ComparedPart, reference: str) -> Comparison:
    """Compare runs, or take the comparison from before where none of their files has changed."""
    paths = [str(run.path) for run in runs]
    return _compare(tuple(paths), part, reference, _stamps(runs))


def follow(runs: Sequence[RunFolder], part: ComparedPart, reference: str) -> None:
    """While some of the runs train, draw the page anew, choices and all, whenever an epoch has ended."""
    if any(run.status().state in ACTIVE for run in runs):
        st.fragment(_follow, run_every=FOLLOW_SECONDS)(runs, part, reference, _stamps(runs))


def _follow(runs: Sequence[RunFolder], part: ComparedPart, reference: str, drawn: tuple[int | str, ...]) -> None:
    training = [plain(run.name) for run in runs if run.status().state in ACTIVE]
    if training:
        st.caption(f":material/sync: Still training: {', '.join(training)}. Each finished epoch is drawn by itself.")
    if _stamps(runs) != drawn:
        with report_errors():  # compared here, so that the page stands still meanwhile
            load_comparison(runs, part, reference)
            st.rerun()


@st.cache_data(max_entries=8, show_spinner="Comparing …")
def _compare(paths: tuple[str, ...], part: ComparedPart, reference: str, stamps: tuple[int | str, ...]) -> Comparison:
    return compare_runs([RunFolder(Path(path)) for path in paths], current_settings(), part, reference)


def _stamps(runs: Sequence[RunFolder]) -> tuple[int | str, ...]:
    files = [_stamp(run.path / name) for run in runs for name in WATCHED]
    return (*files, *(run.status().state for run in runs))


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def show_differences(comparison: Comparison) -> None:
    """How far each run is from the reference, with intervals; and in words why two are not paired."""
    figure = draw_differences(comparison, current_palette())
    if figure is not None:
        draw(figure, key="compare.differences", alt="AUROC by patient of each run less that of the reference")
    several = len(comparison.differences) > 1
    rows = []
    for item in comparison.differences:
        row = {"run": item.run, "difference (95%)": value_text(item.figure, signed=True)}
        if several:
            row["adjusted"] = value_text(item.adjusted, signed=True)
        rows.append(
            row | {"by DeLong": value_text(item.analytic, signed=True), "n": str(item.shared), "verdict": item.words}
        )
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content")
    st.caption(
        "Intervals by a paired bootstrap of patients (5,000 draws within each class, percentiles); by DeLong: limits on "
        "the logit scale joined by DeLong's correlation, wider and safer near 1. Thin lines are the adjusted intervals. "
        "Told apart: no interval holds 0. Not told apart is not the same as equal."
    )


def show_curves(comparison: Comparison) -> None:
    """ROC and reliability side by side, then the courses."""
    palette = current_palette()
    st.markdown("#### ROC and calibration, by patient")
    with st.grid(2, min_column_width=340):
        draw(draw_roc_of_runs(comparison, palette), key="compare.roc", alt="ROC curves by patient")
        draw(
            draw_reliability_of_runs(comparison, palette),
            key="compare.reliability",
            alt="probability said against share observed, by patient",
        )
    intervals = (
        "without intervals: these validation patients chose the epoch"
        if comparison.part == "val"
        else "with Wilson intervals, all of 95%"
    )
    st.caption(f"Reliability in six bins {intervals}. {estimand_of('compare')}")
    st.markdown("#### Courses")
    there = [name for name in COURSES if has_course(comparison, name)]
    if there:
        name = st.selectbox(
            "Curve", there, format_func=lambda name: COURSES[name][:1].upper() + COURSES[name][1:], key="compare.course",
            persist_state="session", width=420,
        )  # fmt: skip
        draw(draw_courses(comparison, name, palette), key=f"compare.course.{name}", alt=f"{COURSES[name]} by epoch")
        st.caption("Diamonds mark the best epoch; an AUROC has its 95% interval there.")


def show_figures_of_runs(comparison: Comparison) -> None:
    """Every figure by patient with its interval and n, a column per run."""
    evaluated = [(run.label, run.evaluation) for run in comparison.runs if run.evaluation is not None]
    names = [name for name in FIGURE_TITLES if any(name in evaluation.patient for _, evaluation in evaluated)]
    rows = [
        {"figure by patient": FIGURE_TITLES[name]}
        | {label: figure_text(evaluation.patient.get(name)) for label, evaluation in evaluated}
        for name in names
    ]
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, height="content")
    for run in comparison.runs:
        known = "; ".join([*run.warnings, *([run.reason] if run.reason else [])])
        if known:
            st.caption(f"{plain(run.label)}: {plain(known, 400)}")


def show_settings(comparison: Comparison) -> None:
    """What is not the same in all of them, and nothing else."""
    if not comparison.settings:
        st.caption("They differ in nothing that was recorded.")
        return
    rows = [
        {"": row.group, "setting": label_of(row.name)}
        | {run.label: value_words(value) for run, value in zip(comparison.runs, row.values, strict=True)}
        for row in comparison.settings
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content" if len(rows) <= 14 else 530)


def offer_files(comparison: Comparison) -> None:
    """The report and the table, made when they are asked for."""
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Report as one HTML file", lambda: write_comparison_page(comparison), "comparison.html", "text/html",
            icon=":material/description:", on_click="ignore", key="compare.html",
            help="Figures that can be moved and read off, in one file that needs nothing else (about 5 MB).",
        )  # fmt: skip
        st.download_button(
            "Table as CSV", lambda: write_comparison_table(comparison), "comparison.csv", "text/csv",
            icon=":material/table:", on_click="ignore", key="compare.csv",
            help="A row for every figure, difference, setting and epoch.",
        )  # fmt: skip
