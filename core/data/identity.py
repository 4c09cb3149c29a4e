"""Which study ids are one human being: BraTS21ID is not always the person.

The table ``identity.csv`` beside this module holds the known pairs (columns study_id, same_person_as,
source); a line more is a pair more. Chains are followed, so a person may have any number of ids.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

__all__ = ["person_of", "read_identities"]

IDENTITY_FILE = Path(__file__).with_name("identity.csv")


def person_of(study_id: str) -> str:
    """Return the id that stands for a study's person: the smallest of all that are the same human being."""
    return _known_persons().get(study_id, study_id)


def read_identities(path: Path) -> dict[str, str]:
    """Read a table of pairs into a mapping from each id in it to its person's smallest id."""
    groups: dict[str, set[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            pair = {row["study_id"], row["same_person_as"]}
            merged = pair.union(*(groups.get(study_id, set()) for study_id in pair))
            groups.update(dict.fromkeys(merged, merged))
    return {study_id: min(group) for study_id, group in groups.items()}


@cache
def _known_persons() -> dict[str, str]:
    return read_identities(IDENTITY_FILE)
