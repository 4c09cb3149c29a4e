"""Nobody twice: which persons of one cohort are in another, or in a run, and a cohort without them.

Some ways are certain: a crosswalk table, equal ids of cohorts that are numbered by one hand, equal DICOM UIDs, equal
pixels. Such persons are dropped and counted. What only looks the same is refused until a person has looked and said so in
a table of pairs. A match of pixels finds the same scan again; the same person at another session is found by ids and tables only.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.audit.crosswalk import Crosswalk
from core.audit.fingerprint import find_alike, to_levels
from core.audit.marks import CohortMarks
from core.data.clinical.labels import IdKey, id_key, normalise_column
from core.data.clinical.spreadsheet import read_sheets
from core.data.study import Cohort
from core.errors import DataError, LabelError, OverlapError
from core.files import write_atomic

MOST_HOLDERS = 3
"""Persons of one cohort that may share a mark; one that more have (a UID that a program writes into everything) says nothing."""
COLUMNS = ("person", "same_as", "same", "reason")
"""Of the table of pairs; ``same`` is what the person fills in."""
ANSWERS = {"yes": True, "y": True, "1": True, "true": True, "no": False, "n": False, "0": False, "false": False}
NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonMatch:
    """Two persons who are one, or may be."""

    person: str
    """In the cohort that is checked."""
    same_as: str
    """In the cohort, or the run, that it is checked against."""
    reasons: tuple[str, ...]
    certain: bool
    part: str = ""
    """Where `same_as` stands in the run's split; empty for a cohort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonMatches:
    """What a comparison of two cohorts found, and what it could not look at."""

    matches: tuple[PersonMatch, ...]
    compared: tuple[int, int]
    """Persons of the one and of the other."""
    different: int = 0
    """Pairs that look the same and that a person says are not."""
    unchecked: tuple[str, ...] = ()
    """What could not be compared, one sentence each."""

    @property
    def certain(self) -> tuple[PersonMatch, ...]:
        """Those that are the same person."""
        return tuple(match for match in self.matches if match.certain)

    @property
    def probable(self) -> tuple[PersonMatch, ...]:
        """Those that look the same, and of whom nobody has said whether they are."""
        return tuple(match for match in self.matches if not match.certain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """A cohort without the persons who are in another, and who they were."""

    cohort: Cohort
    dropped: tuple[PersonMatch, ...]
    """One for each person who was dropped."""
    compared: tuple[int, int]
    different: int
    unchecked: tuple[str, ...]
    copies: tuple[PersonMatch, ...] = ()
    """Of persons of the cohort itself (:func:`drop_copies`)."""

    def to_dict(self) -> dict[str, Any]:
        """Return what ``evaluate --data ... --json`` prints as "overlap"."""
        return {
            "count": len(self.dropped),
            "persons": [describe_match(match) for match in self.dropped],
            "compared": {"persons": self.compared[1], "with": self.compared[0]},
            "confirmed_different": self.different,
            "unchecked": list(self.unchecked),
            "copies": [describe_match(match) for match in self.copies],
        }


Pairs = Mapping[tuple[IdKey, IdKey], bool]
"""What a person says of pairs: (person, same_as), as :func:`core.data.clinical.labels.id_key` writes them, to same or not."""


def match_persons(
    one: CohortMarks, other: CohortMarks, *, crosswalk: Crosswalk | None = None, pairs: Pairs | None = None
) -> PersonMatches:
    """Return who of `other` is in `one`, each with every reason.

    Parameters
    ----------
    one
        The cohort that is checked against: the earlier, or a run's.
    other
        The cohort whose persons may have to go.
    crosswalk
        A table of ids that are one person.
    pairs
        What a person said of pairs (:func:`read_pairs`).

    Raises
    ------
    DataError
        The crosswalk names nobody of one of the two.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for reason, ones, others in _certain_marks(one, other, crosswalk):
        for pair in _pair_up(ones, others):
            found.setdefault(pair, []).append(reason)
    answers = {(same_as, person): same for (person, same_as), same in _known_pairs(one, other, pairs or {})}
    for pair, same in answers.items():
        if same:
            found.setdefault(pair, []).append("confirmed by hand")
    parts = {person.person: person.part for person in one.persons}
    matches = [
        PersonMatch(person=theirs, same_as=ours, reasons=tuple(reasons), certain=True, part=parts[ours])
        for (ours, theirs), reasons in found.items()
    ]
    settled = {match.person for match in matches}
    different = {pair for pair, same in answers.items() if not same}
    for (ours, theirs), correlation in _find_same_scans(one, other, settled, different).items():
        reason = f"same scan by its pixels (correlation {correlation:.2f})"
        matches.append(PersonMatch(person=theirs, same_as=ours, reasons=(reason,), certain=False, part=parts[ours]))
    return PersonMatches(
        matches=tuple(sorted(matches, key=lambda match: (not match.certain, match.person, match.same_as))),
        compared=(len(one.persons), len(other.persons)),
        different=len(different),
        unchecked=tuple(_list_unchecked(one, other)),
    )


def drop_overlap(cohort: Cohort, matches: PersonMatches, pairs_file: Path | None = None) -> Overlap:
    """Return a cohort without the persons who are certainly in the other.

    Parameters
    ----------
    cohort
        The cohort that was marked as `other` in :func:`match_persons`.
    matches
        What that found.
    pairs_file
        Where pairs that only look the same are written, for a person to say of each whether it is one person.

    Raises
    ------
    OverlapError
        Pairs look the same and nobody has said whether they are; or nobody is left.
    """
    if matches.probable:
        raise OverlapError(_ask_about(matches.probable, pairs_file))
    first = {match.person: match for match in reversed(matches.certain)}
    left = tuple(study for study in cohort if study.person not in first)
    if first and not left:
        reasons = Counter(reason for match in first.values() for reason in match.reasons)
        why = ", ".join(f"{count} by {reason}" for reason, count in reasons.most_common())
        raise OverlapError(
            f"All {len(first)} persons of {cohort.root} are already in what it is to be strange to ({why}), so that "
            "nothing can be learnt from them; name a cohort of other persons."
        )
    return Overlap(
        cohort=replace(cohort, studies=left),
        dropped=tuple(first[person] for person in sorted(first)),
        compared=matches.compared,
        different=matches.different,
        unchecked=matches.unchecked,
    )


def drop_copies(cohort: Cohort, marks: CohortMarks) -> tuple[Cohort, CohortMarks, tuple[PersonMatch, ...]]:
    """Return a cohort without the persons who are an earlier one of the same cohort by equal UIDs or pixels, and who they were.

    Parameters
    ----------
    cohort, marks
        The cohort, and the marks of its persons.
    """
    place = {person.person: number for number, person in enumerate(marks.persons)}
    copies: dict[str, PersonMatch] = {}
    for reason, kind in (("equal UIDs", "uids"), ("equal pixels", "pixels")):
        for holders in _holders(marks, kind).values():
            kept, *others = sorted(holders, key=lambda name: place[name])
            for name in others:
                copies.setdefault(name, PersonMatch(person=name, same_as=kept, reasons=(reason,), certain=True))
    left = tuple(study for study in cohort if study.person not in copies)
    persons = tuple(person for person in marks.persons if person.person not in copies)
    return (
        replace(cohort, studies=left),
        replace(marks, persons=persons),
        tuple(copies[name] for name in sorted(copies)),
    )


def describe_match(match: PersonMatch) -> dict[str, Any]:
    """Return a match as JSON has it."""
    document: dict[str, Any] = {"person": match.person, "same_as": match.same_as, "reasons": list(match.reasons)}
    return document | ({"part": match.part} if match.part else {})


def read_pairs(path: Path) -> Pairs:
    """Return what a person says of pairs; a file that does not exist yet says nothing.

    Raises
    ------
    DataError
        It is not a table with the columns person, same_as and same, or an answer is neither yes, no nor blank.
    """
    path = path.expanduser()
    if not path.exists():
        return {}
    try:
        sheet = read_sheets(path)[0]
    except LabelError as error:
        raise DataError(f"The table of pairs {path} cannot be read: {error}") from error
    columns = [normalise_column(column) for column in sheet.header]
    missing = [column for column in COLUMNS[:3] if column not in columns]
    if missing:
        raise DataError(f"The table of pairs {path} has no column {missing[0]}; expected {','.join(COLUMNS)}.")
    pairs = {}
    for line, cells in sheet.rows:
        person, same_as, answer = (cells[columns.index(column)] for column in COLUMNS[:3])
        if answer and answer.lower() not in ANSWERS:
            raise DataError(f"{path}, line {line}: same is {answer!r}; write yes, no, or leave it blank.")
        if answer:
            pairs[id_key(person), id_key(same_as)] = ANSWERS[answer.lower()]
    return pairs


def write_pairs(path: Path, matches: Iterable[PersonMatch]) -> None:
    """Add pairs to a table, for a person to say of each whether it is one; what it holds stays.

    Raises
    ------
    DataError
        What is there is no table in UTF-8.
    StorageError
        It cannot be written.
    """
    path = path.expanduser()
    buffer = io.StringIO(newline="")
    try:
        if path.exists():
            buffer.write(path.read_text(encoding="utf-8-sig").rstrip("\r\n") + "\n")
        known = {(row[0], row[1]) for row in csv.reader(buffer.getvalue().splitlines()) if len(row) > 1}
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a table of pairs ({error}); restore it, or name another.") from error
    writer = csv.writer(buffer, lineterminator="\n")
    if not path.exists():
        writer.writerow(COLUMNS)
    for match in matches:
        if (match.person, match.same_as) not in known:
            writer.writerow([match.person, match.same_as, "", "; ".join(match.reasons)])
    write_atomic(path, buffer.getvalue())


def _certain_marks(
    one: CohortMarks, other: CohortMarks, crosswalk: Crosswalk | None
) -> Iterator[tuple[str, Mapping[str, set[str]], Mapping[str, set[str]]]]:
    """Yield each certain way: its name, and which persons of each cohort have which mark."""
    if crosswalk is not None:
        yield f"crosswalk {crosswalk.name}", *_walk(one, other, crosswalk)
    if one.family and one.family == other.family:
        yield "equal ids", _holders(one, "keys"), _holders(other, "keys")
    yield "equal UIDs", _holders(one, "uids"), _holders(other, "uids")
    yield "equal pixels", _holders(one, "pixels"), _holders(other, "pixels")


def _holders(cohort: CohortMarks, kind: str) -> dict[str, set[str]]:
    """Return who has each mark; marks that too many have are left out."""
    found: dict[str, set[str]] = {}
    for person in cohort.persons:
        for mark in getattr(person, kind):
            found.setdefault(mark, set()).add(person.person)
    return {mark: persons for mark, persons in found.items() if len(persons) <= MOST_HOLDERS}


def _walk(
    one: CohortMarks, other: CohortMarks, crosswalk: Crosswalk
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return who of each cohort stands in each row of a crosswalk."""
    sides = []
    for cohort in (one, other):
        holders = _holders(cohort, "keys")
        rows = {
            str(number): set().union(*(holders[key] for key in row & holders.keys()))
            for number, row in enumerate(crosswalk.rows)
        }
        if not any(rows.values()):
            raise DataError(
                f"The crosswalk {crosswalk.name} names nobody of {cohort.name}; see that it is the table for these two "
                "cohorts, and that its ids are those of the studies' folders."
            )
        sides.append(rows)
    return sides[0], sides[1]


def _pair_up(ones: Mapping[str, set[str]], others: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    return {(ours, theirs) for mark in ones.keys() & others.keys() for ours in ones[mark] for theirs in others[mark]}


def _known_pairs(one: CohortMarks, other: CohortMarks, pairs: Pairs) -> Iterator[tuple[tuple[str, str], bool]]:
    """Yield the answers that are about persons of these two cohorts."""
    ours, theirs = ({id_key(person.person): person.person for person in cohort.persons} for cohort in (one, other))
    for (person, same_as), same in pairs.items():
        if person in theirs and same_as in ours:
            yield (theirs[person], ours[same_as]), same


def _find_same_scans(
    one: CohortMarks, other: CohortMarks, settled: Collection[str], different: Collection[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    """Return pairs of persons, ours and theirs, whose fingerprints are those of one scan, with their correlation."""
    found: dict[tuple[str, str], float] = {}
    sequences = {sequence for person in one.persons for sequence, _ in person.prints}
    for wanted in sorted(sequences):
        ours, theirs = (
            [
                (person.person, to_levels(content))
                for person in cohort.persons
                for of, content in person.prints
                if of == wanted
            ]
            for cohort in (one, other)
        )
        theirs = [pair for pair in theirs if pair[0] not in settled]
        skip = (
            {
                (number, at)
                for number, (mine, _) in enumerate(ours)
                for at, (yours, _) in enumerate(theirs)
                if (mine, yours) in different
            }
            if different
            else set()
        )
        for match in find_alike([levels for _, levels in ours], [levels for _, levels in theirs], skip=skip):
            pair = ours[match.one][0], theirs[match.other][0]
            found[pair] = max(found.get(pair, 0.0), match.correlation)
    return found


def _list_unchecked(one: CohortMarks, other: CohortMarks) -> Iterator[str]:
    for cohort in (one, other):
        without = [person.person for person in cohort.persons if not person.pixels]
        if without:
            yield f"The pixels of {_some(without)} of {cohort.name} could not be compared."
        yield from cohort.faults[:NAMED]
        flat = sum(not person.prints for person in cohort.persons)
        if flat:
            yield (
                f"{flat} of {len(cohort.persons)} persons of {cohort.name} have no volume of a brain in thin enough slices: a copy "
                "of theirs that was registered, resampled or saved in 8 bits would not be found."
            )
    if not all(any(person.uids for person in cohort.persons) for cohort in (one, other)):
        yield "DICOM UIDs could not be compared: one of the two has none."


def _ask_about(matches: Sequence[PersonMatch], pairs_file: Path | None) -> str:
    """Say what a person is to decide, and where; the table is written where one was named."""
    named = ", ".join(f"{match.person} and {match.same_as}" for match in matches[:NAMED])
    more = f" and {len(matches) - NAMED} more" if len(matches) > NAMED else ""
    count = "1 pair of persons looks" if len(matches) == 1 else f"{len(matches)} pairs of persons look"
    if pairs_file is None:
        remedy = "Name a table with --pairs FILE: they are written there, to be marked yes or no in its column same"
    else:
        write_pairs(pairs_file, matches)
        remedy = f"Look at both, write yes or no into the column same of {pairs_file}, and ask again"
    return f"{count} like the same scan, and nobody has said whether it is: {named}{more}. {remedy}."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
