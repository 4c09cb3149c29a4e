"""Which label table belongs to a cohort, and its studies with the labels that stand in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from core.data.clinical.labels import Target, read_labels
from core.data.clinical.participants import attach_labels, require_studies
from core.data.clinical.spreadsheet import read_levels
from core.data.cohorts.adapter import CohortAdapter
from core.data.cohorts.registry import FOLDER
from core.data.index.layout import Layout, subfolders
from core.data.study import Cohort
from core.errors import LabelError

LABEL_FILE = "train_labels.csv"
"""The competition's."""
TABLES = (".csv", ".tsv", ".xlsx")


def find_table(adapter: CohortAdapter, places: Sequence[Path]) -> Path | None:
    """Return the label table in some places: the adapter's own, else the competition's; None where there is neither."""
    names = [path for place in places if (path := place / LABEL_FILE).is_file()]
    return adapter.find_table(places) or next(iter(names), None)


def read_as_persons(layout: Layout, labels: Path | None, target: Target) -> Layout:
    """Return class folders as studies where a label table, the given one or one beside them, names most of the folders."""
    if layout.name != "classes" or layout.stated:
        return layout
    names = [folder.name for folder in subfolders(layout.base)]
    for path in [labels] if labels else _tables_in(layout.base):
        try:
            table = read_labels(path, target=target, known_ids=names)
        except LabelError:
            continue
        if 2 * sum(table.find(name) is not None for name in names) > len(names):
            return replace(layout, name="rsna", why=f"Folders of images are studies: {path.name} names them.")
    return layout


def _tables_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLES)


def label_studies(cohort: Cohort, layout: Layout, labels: Path | None, target: Target) -> Cohort:
    """Give studies without class folders their labels, and say what did not fit."""
    if layout.name in ("phases", "classes"):
        if labels is None:
            return cohort
        return replace(cohort, notes=(*cohort.notes, f"{labels.name} was not used: the class folders are the labels."))
    known = [study_id for study in cohort for study_id in (study.study_id, study.person)]
    if labels is None and layout.name == "rsna" and cohort.adapter == FOLDER.name:
        labels = _find_any_table((cohort.root, layout.base), target, known)
    if labels is None:
        note = f"No label table: name one with --labels, or put {LABEL_FILE} beside the studies."
        return replace(cohort, notes=(*cohort.notes, note))
    table = read_labels(labels, target=target, known_ids=known)
    return require_studies(attach_labels(cohort, table, read_levels(labels)))


def _find_any_table(places: Iterable[Path], target: Target, known: Sequence[str]) -> Path | None:
    """Return the one table beside the studies that holds labels of theirs; None where there is none, or several."""
    found = []
    for path in {path for place in places for path in _tables_in(place)}:
        try:
            table = read_labels(path, target=target, known_ids=known)
        except LabelError:
            continue
        if table.find(*known):
            found.append(path)
    return found[0] if len(found) == 1 else None
