"""Nobody twice over several cohorts: of a person in two of them, the one that is named first keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.audit.crosswalk import Crosswalk, read_crosswalk
from core.audit.marks import CohortMarks, mark_cohort
from core.audit.persons import Overlap, Pairs, describe_match, drop_copies, drop_overlap, match_persons, read_pairs
from core.data.study import Cohort
from core.progress import Progress, silent
from core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """What a person knows of who is in two cohorts."""

    crosswalk: Crosswalk | None = None
    pairs: Pairs | None = None
    pairs_file: Path | None = None
    """Where pairs that are still open are written."""


def read_ties(crosswalk: str, pairs: str) -> Ties:
    """Read the two tables; an empty name is none.

    Raises
    ------
    DataError
        One of them cannot be read.
    """
    pairs_file = Path(pairs) if pairs else None
    return Ties(
        crosswalk=read_crosswalk(Path(crosswalk)) if crosswalk else None,
        pairs=read_pairs(pairs_file) if pairs_file else None,
        pairs_file=pairs_file,
    )


class SeenPersons:
    """Who was seen so far, cohort by cohort, beginning with a run's own patients where there are any."""

    def __init__(self, ties: Ties, settings: Settings, progress: Progress = silent) -> None:
        self._ties = ties
        self._settings = settings
        self._progress = progress
        self._seen: dict[str, CohortMarks] = {}

    def add(self, name: str, marks: CohortMarks) -> None:
        """Remember persons under a name."""
        self._seen[name] = marks

    def marks_of(self, name: str) -> CohortMarks:
        """Return those who were remembered under a name."""
        return self._seen[name]

    def drop_from(self, cohort: Cohort, name: str) -> tuple[Cohort, dict[str, Any]]:
        """Return a cohort without copies and those who were seen before, and remember the rest.

        Returns
        -------
        tuple
            The cohort, and what was found, as ``evaluate --data --json`` has it (:meth:`core.audit.persons.Overlap.to_dict`);
            each of ``persons`` says in what it is, too.

        Raises
        ------
        OverlapError
            Some may be the same and nobody has said whether they are, or nobody is left.
        """
        first = next(iter(self._seen.values()), None)
        if first is None:
            marks = mark_cohort(cohort, self._settings, progress=self._progress)
        else:
            marks = mark_cohort(
                cohort, self._settings, among=first.sequences, every=True, progress=self._progress
            )  # fmt: skip
        cohort, marks, copies = drop_copies(cohort, marks)
        overlap: dict[str, Any] = {
            "copies": [describe_match(match) for match in copies], "count": 0, "persons": [], "compared": {"persons": len(marks.persons), "with": 0},
            "confirmed_different": 0, "unchecked": [],
        }  # fmt: skip
        for place, known in self._seen.items():
            found = self._compare(known, marks, cohort)
            cohort = found.cohort
            overlap["persons"] += [{**describe_match(match), "in": place} for match in found.dropped]
            overlap["unchecked"] += [f"Against {place}: {sentence}" for sentence in found.unchecked]
            overlap["compared"]["with"] += found.compared[0]
            overlap["confirmed_different"] += found.different
            gone = {match.person for match in found.dropped}
            marks = replace(marks, persons=tuple(one for one in marks.persons if one.person not in gone))
        overlap["count"] = len(overlap["persons"])
        self._seen[name] = marks
        return cohort, overlap

    def _compare(self, known: CohortMarks, marks: CohortMarks, cohort: Cohort) -> Overlap:
        ties = self._ties
        # A crosswalk is between two cohorts; those that it does not name are compared without it.
        crosswalk = ties.crosswalk if ties.crosswalk and _names_both(ties.crosswalk, known, marks) else None
        matches = match_persons(known, marks, crosswalk=crosswalk, pairs=ties.pairs)
        return drop_overlap(cohort, matches, ties.pairs_file)


def drop_repeated(
    cohorts: Mapping[str, Cohort], ties: Ties, settings: Settings, progress: Progress = silent
) -> dict[str, tuple[Cohort, dict[str, Any]]]:
    """Return each cohort without the persons of those before it, and what was found (:meth:`SeenPersons.drop_from`)."""
    seen = SeenPersons(ties, settings, progress)
    return {name: seen.drop_from(cohort, name) for name, cohort in cohorts.items()}


def _names_both(crosswalk: Crosswalk, one: CohortMarks, other: CohortMarks) -> bool:
    named = frozenset().union(*crosswalk.rows)
    return all(any(person.keys & named for person in marks.persons) for marks in (one, other))
