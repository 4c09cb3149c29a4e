"""A comparison as one HTML file that needs nothing else: plotly's script stands in it once, and nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from core.evaluation.figure import Figure
from core.evaluation.figures import FIGURE_TITLES
from core.experiments.comparison.comparison import Comparison
from core.experiments.comparison.differences import value_words
from core.reports.comparison_figures import (
    draw_courses,
    draw_differences,
    draw_reliability_of_runs,
    draw_roc_of_runs,
    has_course,
)
from core.reports.palette import LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go


POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""What a browser lets the page do: nothing of it leaves the reader's machine, whatever a run is called."""
STYLE = """
:root { color-scheme: light; }
body { font: 14px/1.5 system-ui, sans-serif; color: #18222d; background: #fff; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem; border-bottom: 1px solid #cfd6dc; }
.wide { overflow-x: auto; } table { border-collapse: collapse; }
td, th { text-align: left; vertical-align: top; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid #e3e8ec; font-variant-numeric: tabular-nums; overflow-wrap: break-word; max-width: 24rem; }
th { font-weight: 600; } .muted { color: #5c6975; } .banner { border: 1px solid #c65200; border-radius: 4px; padding: .3rem .7rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem; }
@media (max-width: 30rem) { .pair { grid-template-columns: 1fr; } }
@media print { body { margin: 0; max-width: none; font-size: 11px; } h2 { break-after: avoid; } tr, .plotly-graph-div { break-inside: avoid; } }
"""
REPORTED = ("val_patient_auroc", "val_loss", "val_accuracy", "train_loss")
"""The courses that a report shows; the table of the CSV has all."""


def write_comparison_page(comparison: Comparison) -> str:
    """Write the page; every text that comes from a run is escaped."""
    from plotly.offline import get_plotlyjs

    names = [run.label for run in comparison.runs]
    title = escape(f"Comparison of {len(names)} runs")
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="muted">MGMT Lab, made {escape(comparison.created[:16].replace("T", " "))} UTC, on '
        f"{comparison.whose}. For research only.</p>",
        *(f'<p class="banner">{escape(note)}</p>' for note in comparison.notes),
        "<h2>Runs</h2>",
        _runs(comparison),
        f"<h2>AUROC by patient, less that of {escape(comparison.reference)}</h2>",
        _plot(draw_differences(comparison, LIGHT)),
        _differences(comparison),
        "<h2>ROC and calibration, by patient</h2>",
        f'<div class="pair">{_plot(draw_roc_of_runs(comparison, LIGHT))}'
        f"{_plot(draw_reliability_of_runs(comparison, LIGHT))}</div>",
        _calibration_words(comparison),
        "<h2>Figures by patient</h2>",
        _figures(comparison),
        "<h2>Courses</h2>",
        '<div class="pair">'
        + "".join(_plot(draw_courses(comparison, name, LIGHT)) for name in REPORTED if has_course(comparison, name))
        + "</div>",
        f'<p class="muted">Diamonds mark the best epoch{_of("val_patient_auroc", comparison)}.</p>',
        "<h2>In what they differ</h2>",
        _settings(comparison),
    ]
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style>'
    )
    script = f"<script>{get_plotlyjs()}</script>"
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}{script}</head><body>\n{body}\n</body></html>\n'


def _of(name: str, comparison: Comparison) -> str:
    return ", with its 95% interval where there is one" if has_course(comparison, name) else ""


def _plot(figure: go.Figure | None) -> str:
    """A figure as HTML; plotly writes its data so that no text can end the script."""
    if figure is None:
        return '<p class="muted">None of the runs can be paired with the reference.</p>'
    figure.update_layout(font_family="system-ui, sans-serif")
    options = {"displayModeBar": False, "responsive": True}
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config=options))


def _runs(comparison: Comparison) -> str:
    rows = [
        (
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
        for run in comparison.runs
    ]
    return _table(("run", "state", "preset", "network", "split", "best epoch", "tags", "note", "to know"), rows)


def _differences(comparison: Comparison) -> str:
    adjusted = len(comparison.differences) > 1
    header = ("run", "difference (95% interval)", *(("adjusted",) if adjusted else ()), "by DeLong", "n", "verdict")
    rows = []
    for item in comparison.differences:
        middle = (_signed(item.adjusted),) if adjusted else ()
        rows.append((item.run, _signed(item.figure), *middle, _signed(item.analytic), str(item.shared), item.words))
    words = (
        "Interval by a paired bootstrap of patients (5,000 draws within each class, percentiles); by DeLong: limits on "
        "the logit scale joined by DeLong's correlation, wider and safer near 1. Told apart: no interval holds 0. Not "
        "told apart is not the same as equal."
    )
    return _table(header, rows) + f'<p class="muted">{words}</p>'


def _calibration_words(comparison: Comparison) -> str:
    words = "Reliability in six bins with Wilson intervals, all of 95%."
    if comparison.part == "val":
        words += " Each validation patient's temperature was fitted on the other folds."
    return f'<p class="muted">{words}</p>'


def _figures(comparison: Comparison) -> str:
    judged = [(run.label, run.evaluation) for run in comparison.runs if run.evaluation is not None]
    names = [name for name in FIGURE_TITLES if any(name in evaluation.patient for _, evaluation in judged)]
    rows = [
        (FIGURE_TITLES[name], *(_value(evaluation.patient.get(name)) for _, evaluation in judged)) for name in names
    ]
    return _table(("figure", *(label for label, _ in judged)), rows)


def _settings(comparison: Comparison) -> str:
    if not comparison.settings:
        return "<p>In nothing that was recorded.</p>"
    rows = [(row.group, row.name, *(value_words(value) for value in row.values)) for row in comparison.settings]
    return _table(("", "setting", *(run.label for run in comparison.runs)), rows)


def _value(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return f"none ({figure.reason})" if figure is not None and figure.reason else "none"
    interval = f" [{figure.low:.3f} to {figure.high:.3f}]" if figure.low is not None and figure.high is not None else ""
    return f"{figure.value:.3f}{interval}, n = {figure.n}"


def _signed(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return f"{figure.value:+.3f} (no interval: {figure.reason})"
    return f"{figure.value:+.3f} [{figure.low:+.3f} to {figure.high:+.3f}]"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
