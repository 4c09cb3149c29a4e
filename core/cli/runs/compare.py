"""runs compare: several runs laid over each other."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli.output import Outcome, plain, table
from core.experiments.comparison.comparison import Comparison, compare_runs
from core.experiments.comparison.differences import value_words
from core.figure_text import figure_text
from core.files import write_atomic
from core.reports.comparison_page import write_comparison_page
from core.reports.comparison_table import write_comparison_table
from core.runs.folder import find_run
from core.settings import Settings


def compare(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Compare runs by what they have already shown."""
    runs = [find_run(name, settings) for name in arguments.runs]
    reference = find_run(arguments.reference, settings).name if arguments.reference else None
    comparison = compare_runs(runs, settings, arguments.part, reference)
    written = []
    if arguments.html:
        written.append(Path(arguments.html).expanduser())
        write_atomic(written[-1], write_comparison_page(comparison))
    if arguments.csv:
        written.append(Path(arguments.csv).expanduser())
        write_atomic(written[-1], write_comparison_table(comparison))
    document = comparison.to_dict() | {"written": [str(path) for path in written]}
    lines = [*_describe(comparison), *(f"Written: {plain(path)}" for path in written)]
    return Outcome(document=document, lines=lines)


def _describe(comparison: Comparison) -> list[str]:
    rows = []
    for run in comparison.runs:
        area = run.evaluation.patient["auroc"].to_dict() if run.evaluation else None
        said = figure_text(area) if area else f"none ({run.reason})"
        rows.append((run.label, run.preset, run.architecture, said, "; ".join(run.warnings)))
    lines = [
        *(plain(note) for note in comparison.notes),
        "",
        *table(rows, ("run", "preset", "network", f"AUROC by patient, {comparison.whose}", "to know")),
        "",
    ]
    for item in comparison.differences:
        lines.append(f"{plain(item.run)} less {plain(item.reference)}: {plain(item.words)}")
        for title, figure in (
            ("paired bootstrap", item.figure), ("adjusted", item.adjusted), ("DeLong", item.analytic),
        ):  # fmt: skip
            if figure is not None:
                lines.append(f"  {title:16}  {figure_text(figure)}")
    settings = [(row.group, row.name, *(value_words(value) for value in row.values)) for row in comparison.settings]
    header = ("", "differs", *(run.label for run in comparison.runs))
    return [*lines, "", *(table(settings, header) if settings else ["They differ in nothing that was recorded."])]
