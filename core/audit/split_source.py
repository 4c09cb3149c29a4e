"""Reading a split: split.json, a table of names and parts, or a TRAIN/VAL/TEST tree."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from core.data.cohort import scan_cohort
from core.dataset.split import Split
from core.errors import SplitError
from core.settings import Settings

Parts = dict[str, frozenset[str]]
"""Study or person id to the parts in which it stands. Unlike a :class:`Split` it may say that one stands in two."""

NAME_COLUMNS = ("study_id", "name")
PART_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "holdout"),
}
PART_OF = {name: part for part, names in PART_NAMES.items() for name in names}


def read_split(place: Path, settings: Settings) -> Split | Parts:
    """Read a split from a file or a folder.

    Parameters
    ----------
    place
        A split.json, a CSV with the columns ``name`` (or ``study_id``) and ``part``, or a folder of TRAIN, VAL and
        TEST.
    settings
        The limits of scanning a folder.

    Raises
    ------
    SplitError
        There is no such file, or it cannot be read as a split.
    """
    if place.is_dir():
        studies = ((study.study_id, study.phase) for study in scan_cohort(place, settings=settings) if study.phase)
        return _gather(studies, place.name)
    try:
        return parse_split(place.read_bytes(), place.name)
    except OSError as error:
        raise SplitError(f"{place} cannot be read as a split ({error}); name a split.json, a CSV or a tree.") from error


def parse_split(content: bytes, name: str) -> Split | Parts:
    """Read a split from what a file holds.

    Parameters
    ----------
    content
        The file's bytes, in UTF-8.
    name
        Its name: what ends in .json is a run's split.json, anything else a table as :func:`read_split` takes it.

    Raises
    ------
    SplitError
        It is no split.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeError as error:
        raise SplitError(f"{name} cannot be read as a split ({error}); give a split.json or a CSV in UTF-8.") from error
    return Split.from_json(text) if name.lower().endswith(".json") else _gather(_rows(text, name), name)


def _rows(text: str, name: str) -> Iterable[tuple[str, str]]:
    """Yield name and part of each row."""
    try:
        reader = csv.DictReader(text.splitlines())
        columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
        key = next((columns[name] for name in NAME_COLUMNS if name in columns), None)
        if key is None or "part" not in columns:
            raise SplitError(f"{name} has the columns {', '.join(columns) or '(none)'}; expected name and part.")
        for row in reader:
            yield (row[key] or "").strip(), (row[columns["part"]] or "").strip()
    except csv.Error as error:
        raise SplitError(f"{name} cannot be read as a table ({error}); give a split.json or a CSV in UTF-8.") from error


def _gather(pairs: Iterable[tuple[str, str]], source: str) -> Parts:
    parts: dict[str, set[str]] = defaultdict(set)
    for name, part in pairs:
        if part.lower() not in PART_OF:
            raise SplitError(f"{source} puts {name} into {part!r}; expected train, val or test.")
        parts[name].add(PART_OF[part.lower()])
    if not parts:
        raise SplitError(f"{source} names nobody; a split is a table of names and parts, or a TRAIN/VAL/TEST tree.")
    return {name: frozenset(found) for name, found in parts.items()}
