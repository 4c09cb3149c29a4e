"""Which study ids are one human being: BraTS21ID is not always the person.

The table ``identity.csv`` beside this module holds the known pairs (columns study_id, same_person_as,
source); a table of the same name in MGMT_LAB_HOME adds a person's own, and one may be named for a cohort. Chains are followed, so a person may have
any number of ids.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from core.data.clinical.labels import normalise_id
from core.errors import DataError
from core.settings import load_settings

IDENTITY_FILE = Path(__file__).with_name("identity.csv")
COLUMNS = ("study_id", "same_person_as")


def person_of(study_id: str, table: Path | None = None) -> str:
    """Return the id that stands for a study's person: the smallest of all that are the same human being.

    Parameters
    ----------
    study_id
        The study.
    table
        A further table, for one cohort.

    Raises
    ------
    DataError
        A table cannot be read.
    """
    own = load_settings().home / IDENTITY_FILE.name
    tables = [(path, path.stat().st_mtime_ns) for path in (own, table) if path and path.is_file()]
    if table and not table.is_file():
        raise DataError(f"There is no identity table {table}; name a CSV with the columns {','.join(COLUMNS)}.")
    return _known_persons(tuple(tables)).get(study_id, study_id)


def read_identities(*paths: Path) -> dict[str, str]:
    """Read tables of pairs into a mapping from each id in them to its person's smallest id.

    Raises
    ------
    DataError
        A table is not CSV with the columns study_id and same_person_as.
    """
    groups: dict[str, set[str]] = {}
    for one, other in (pair for path in paths for pair in _read_pairs(path)):
        merged = {one, other}.union(*(groups.get(study_id, set()) for study_id in (one, other)))
        groups.update(dict.fromkeys(merged, merged))
    return {study_id: min(group) for study_id, group in groups.items()}


def _read_pairs(path: Path) -> Iterable[tuple[str, str]]:
    expected = f"expected CSV with the columns {','.join(COLUMNS)},source"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"The identity table {path} has no column {' and no column '.join(missing)}; {expected}."
                )
            pairs = [tuple((row[column] or "").strip() for column in COLUMNS) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The identity table {path} cannot be read ({error}); {expected}.") from error
    return [(normalise_id(one), normalise_id(other)) for one, other in pairs if one and other]


@lru_cache(maxsize=8)
def _known_persons(tables: tuple[tuple[Path, int], ...]) -> dict[str, str]:
    """What all tables say; each comes with its modification time, so that a changed one is read again."""
    return read_identities(IDENTITY_FILE, *(path for path, _ in tables))
