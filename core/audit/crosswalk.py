"""Tables that say which ids of two cohorts are one person: BraTS21's mapping to TCIA, UCSF-PDGM's metadata, a person's own.

BraTS2021_MappingToTCIA.xlsx has the columns "BraTS2021 ID", "PatientID on TCIA Radiology Portal" and "Data Collection (as on
TCIA+additional)"; a patient of UCSF-PDGM stands in the second as a bare number. UCSF-PDGM-metadata has "ID" and "BraTS21 ID".
Source: public readers of both tables; neither is part of this project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.audit.marks import digest_id
from core.data.clinical.labels import normalise_column
from core.data.clinical.spreadsheet import Sheet, read_sheets
from core.errors import DataError, LabelError

ID_WORDS = re.compile(r"(?:^|_)(?:\w*ids?|brats\d*|subject|patient|case|participant|tcia|tcga|same_person_as)(?:_|$)")
"""Words in the name of a column of ids, as :func:`core.data.clinical.labels.normalise_column` writes it."""
NO_ID_WORDS = re.compile(
    r"(?:^|_)(?:age|sex|days?|dates?|site|status|collection|cohort|survival|count|value|index)(?:_|$)"
)
COLLECTION = re.compile(r"(?:^|_)collection(?:_|$)")
DISTINCT = 0.8
"""Share of a column's filled cells that differ, from which it may be one of ids: a site or a scanner recurs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crosswalk:
    """Ids that are one person, row by row, as digests (:func:`core.audit.marks.digest_id`)."""

    name: str
    rows: tuple[frozenset[str], ...]


def read_crosswalk(path: Path) -> Crosswalk:
    """Return the ids that each row of a table (CSV, TSV or xlsx, any number of sheets) names together.

    A column counts as one of ids by its name (id, patient, BraTS2021, TCIA, same_person_as, ...), and where its cells
    differ. Ids may be written with or without zeros and generic words (``BraTS2021_00012`` is ``12``); a bare number is
    an id of the row's collection, where the table has a column of collections and the number's own does not say BraTS.

    Raises
    ------
    DataError
        The table cannot be read, or no row names two ids.
    """
    try:
        sheets = read_sheets(path.expanduser())
    except LabelError as error:
        raise DataError(f"The crosswalk {path} cannot be read: {error}") from error
    rows = [row for sheet in sheets for row in _read_rows(sheet)]
    if not rows:
        columns = ", ".join(column for sheet in sheets for column in sheet.header) or "none"
        raise DataError(
            f"The crosswalk {path} has no two columns of ids (its columns: {columns}); expected a table with a column "
            'of ids for each cohort, named for example "BraTS21 ID" and "TCIA patient id".'
        )
    return Crosswalk(name=path.name, rows=tuple(rows))


def _read_rows(sheet: Sheet) -> Iterator[frozenset[str]]:
    """Yield the ids of each row that names two or more."""
    names = [normalise_column(column) for column in sheet.header]
    columns = [number for number in range(len(names)) if _holds_ids(sheet, number, names[number])]
    collection = next((number for number, name in enumerate(names) if COLLECTION.search(name)), None)
    for _, cells in sheet.rows:
        ids = set()
        for number in columns:
            cell = cells[number]
            if cell.isdecimal() and collection is not None and "brats" not in names[number]:
                cell = f"{cells[collection]}-{cell}"
            if any(map(str.isdigit, cell)):
                ids.add(digest_id(cell))
        if len(ids) > 1:
            yield frozenset(ids)


def _holds_ids(sheet: Sheet, number: int, name: str) -> bool:
    cells = [cells[number] for _, cells in sheet.rows if any(map(str.isdigit, cells[number]))]
    if NO_ID_WORDS.search(name) or not ID_WORDS.search(name) or not cells:
        return False
    return len(set(cells)) >= DISTINCT * len(cells)
