"""referee: what a table of predictions, from any framework, shows, contradicts and cannot show."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from core.cli.output import Outcome, plain, table
from core.data.clinical.labels import Target
from core.errors import EvaluationError
from core.experiments.referee.judge import Questions, judge
from core.experiments.referee.table import Predictions, read_predictions
from core.files import storage_errors, write_atomic
from core.reports.referee_page import list_figures, list_tables, write_referee_page
from core.settings import Settings


def referee(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Judge a table of predictions."""
    rates = arguments.label_error
    questions = Questions(
        label_error=None if rates is None else _rates(rates), prevalence=arguments.prevalence, tried=arguments.tried
    )
    document = judge(read_table(Path(arguments.table).expanduser(), arguments), questions)
    lines = [document["sentence"]]
    lines += [f"{one['severity']}: {one['text']} {one['remedy']}".strip() for one in document["findings"]]
    lines += table(list_figures(document), ("figure", "value (95% interval)"))
    for title, header, rows in list_tables(document):
        lines += [title, *table(rows, header)]
    lines += [f"cannot be seen here: {text}" for text in document["cannot_be_seen"]]
    if arguments.out:
        folder = Path(arguments.out).expanduser()
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "referee.json", json.dumps(document, indent=1, allow_nan=False))
        write_atomic(folder / "referee.html", write_referee_page(document))
        lines += [f"Written: {folder / name}" for name in ("referee.json", "referee.html")]
    return Outcome(document=document, lines=[plain(line) for line in lines])


def read_table(path: Path, arguments: argparse.Namespace) -> Predictions:
    """Read a table by the options of a command."""
    target = Target(column=arguments.target, positive=arguments.positive)
    return read_predictions(path, target, site_from_id=arguments.site_from_id)


def _rates(given: list[float]) -> tuple[float, float]:
    """A sensitivity and a specificity, or one rate of wrong labels for both."""
    if len(given) > 2:
        raise EvaluationError("--label-error takes a sensitivity and a specificity, or one rate of wrong labels.")
    return (given[0], given[1]) if len(given) == 2 else (1 - given[0], 1 - given[0])
