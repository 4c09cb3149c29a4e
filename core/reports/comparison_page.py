"""A comparison as one HTML file that needs nothing else: plotly's script stands in it once, and nothing is fetched."""

from __future__ import annotations

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from core.evaluation.figure import estimand_of
from core.evaluation.figures import FIGURE_TITLES
from core.experiments.comparison.comparison import ComparedRun, Comparison
from core.experiments.comparison.differences import value_words
from core.figure_text import figure_text, value_text
from core.reports.comparison_figures import (
    draw_courses,
    draw_differences,
    draw_reliability_of_runs,
    draw_roc_of_runs,
    has_course,
)
from core.reports.page import render_page
from core.reports.palette import LIGHT

REPORTED = ("val_patient_auroc", "val_loss", "val_accuracy", "train_loss")
"""The learning curves that a report shows; the table of the CSV has all."""


def write_comparison_page(comparison: Comparison) -> str:
    """Return the page; every text that comes from a run is escaped."""
    labels = [run.label for run in comparison.runs]
    evaluated = [(run.label, run.evaluation.patient) for run in comparison.runs if run.evaluation is not None]
    adjusted = len(comparison.differences) > 1
    return render_page(
        "comparison.html",
        estimand_of("compare"),
        comparison=comparison,
        plotly=Markup(get_plotlyjs()),
        plots={
            "differences": _plot(draw_differences(comparison, LIGHT)),
            "roc": _plot(draw_roc_of_runs(comparison, LIGHT)),
            "reliability": _plot(draw_reliability_of_runs(comparison, LIGHT)),
            "courses": [
                _plot(draw_courses(comparison, name, LIGHT)) for name in REPORTED if has_course(comparison, name)
            ],
        },
        runs=[_describe_run(run) for run in comparison.runs],
        differences_header=(
            "run", "difference (95% interval)", *(("adjusted",) if adjusted else ()), "by DeLong", "n", "verdict",
        ),
        differences=[
            (
                item.run,
                value_text(item.figure, signed=True),
                *((value_text(item.adjusted, signed=True),) if adjusted else ()),
                value_text(item.analytic, signed=True),
                item.shared,
                item.words,
            )
            for item in comparison.differences
        ],
        figures_header=("figure", *(label for label, _ in evaluated)),
        figures=[
            (title, *(figure_text(figures.get(name)) for _, figures in evaluated))
            for name, title in FIGURE_TITLES.items()
            if any(name in figures for _, figures in evaluated)
        ],
        settings_header=("", "setting", *labels),
        settings=[(row.group, row.name, *(value_words(value) for value in row.values)) for row in comparison.settings],
    )  # fmt: skip


def _describe_run(run: ComparedRun) -> tuple[str, ...]:
    return (
        run.label,
        run.status.state,
        run.preset,
        run.architecture,
        "by slice (LEAKY)" if run.leaky else "by patient",
        f"{run.status.best_epoch or '–'} of {len(run.epochs)}",
        ", ".join(run.tags),
        run.status.note,
        "; ".join([*run.warnings, *([run.reason] if run.reason else [])]),
    )


def _plot(figure: go.Figure | None) -> Markup:
    """A figure as HTML, or nothing; plotly writes its data so that no text can end the script."""
    if figure is None:
        return Markup()
    figure.update_layout(font_family="system-ui, sans-serif")
    options = {"displayModeBar": False, "responsive": True}
    return Markup(figure.to_html(full_html=False, include_plotlyjs=False, config=options))
