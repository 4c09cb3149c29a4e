"""A comparison in one long table: a row per figure, difference, setting and epoch, to read with any program."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO

from core.evaluation.figure import Figure
from core.experiments.comparison.comparison import Comparison
from core.experiments.comparison.differences import value_words
from core.files import inert_cell
from core.reports.comparison_figures import COURSES

COLUMNS = ("kind", "part", "run", "other", "level", "name", "epoch", "value", "low", "high", "n", "how")


def write_comparison_table(comparison: Comparison) -> str:
    """Write the table as CSV, its kinds "figure", "difference", "adjusted", "analytic", "setting", "epoch" and "note"."""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in _rows(comparison):
        writer.writerow([inert_cell(row.get(column)) for column in COLUMNS])
    return buffer.getvalue()


def _rows(comparison: Comparison) -> Iterator[dict[str, object]]:
    for note in comparison.notes:
        yield {"kind": "note", "part": comparison.part, "how": note}
    for run in comparison.runs:
        start = {"part": comparison.part, "run": run.label}
        for warning in run.warnings:
            yield {"kind": "note", **start, "how": warning}
        if run.evaluation is None:
            yield {"kind": "note", **start, "how": run.reason}
            continue
        for level, figures in (("patient", run.evaluation.patient), ("slice", run.evaluation.slice)):
            for name, figure in figures.items():
                yield {"kind": "figure", **start, "level": level, "name": name, **_figure(figure)}
    for item in comparison.differences:
        pair = {"part": comparison.part, "run": item.run, "other": item.reference, "level": "patient", "name": "auroc"}
        if item.figure is None:
            yield {"kind": "difference", **pair, "how": item.words}
        for kind, found in (("difference", item.figure), ("adjusted", item.adjusted), ("analytic", item.analytic)):
            if found is not None:
                yield {"kind": kind, **pair, **_figure(found)}
    for setting in comparison.settings:
        for run, value in zip(comparison.runs, setting.values, strict=True):
            yield {
                "kind": "setting", "run": run.label, "level": setting.group, "name": setting.name,
                "value": value_words(value),
            }  # fmt: skip
    for run in comparison.runs:
        for record in run.epochs:
            for name in COURSES:
                value = getattr(record, name, None)
                if value is not None:
                    interval = {end: getattr(record, f"{name}_{end}", None) for end in ("low", "high")}
                    course = {"run": run.label, "name": name, "epoch": record.epoch, "value": value}
                    yield {"kind": "epoch", **course, **interval}


def _figure(figure: Figure) -> dict[str, object]:
    how = figure.method or figure.reason
    return {"value": figure.value, "low": figure.low, "high": figure.high, "n": figure.n, "how": how}
