"""Who a run's patients are, as digests: ``persons.json`` beside its split, by which they are known again in another cohort."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.audit.fingerprint import pack_levels, unpack_levels
from core.audit.marks import CohortMarks, PersonMarks, digest_id, digest_mark, mark_cohort, thin_marks
from core.data.study import Cohort, Study
from core.dataset.split import PARTS, Split
from core.errors import DataError, MGMTLabError, RunError
from core.files import read_document, write_atomic
from core.mri import MRSequence
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder
from core.runs.ledger import evaluated_marks
from core.settings import Settings

FILE = "persons.json"
SCHEMA = 1
SLICES = 32
"""Slices of a person whose digests are kept, or half as many: enough to know a part of a scan again."""
LEDGER_MARKS = 8
"""Slices of a person whose digests the ledger keeps of an evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonHistory:
    """What was done before with the persons of a test part, by all other runs of this home."""

    persons: int
    judged_before: int
    """How many of them have been evaluated, says the ledger."""
    trained_before: int
    """How many stand in the training or validation part of another run or of an experiment's."""

    def to_dict(self) -> dict[str, int]:
        """As ``evaluate --json`` has it."""
        return asdict(self)


def describe_history(history: Mapping[str, int] | None) -> str:
    """Return in a sentence how many of a run's test patients are not new, or nothing where all are, or it is not known."""
    if history is None or not (history["judged_before"] or history["trained_before"]):
        return ""
    return (
        f"Of these {history['persons']} test patients {history['judged_before']} had been judged before by other runs here, "
        f"and {history['trained_before']} had been trained or validated on: what was learnt from them may have gone into "
        "this run's choices."
    )


def store_persons(
    run: RunFolder, cohort: Cohort, split: Split, settings: Settings, progress: Progress = silent
) -> CohortMarks:
    """Write the marks of a run's patients into its folder, and return them.

    Parameters
    ----------
    run, cohort, split
        The run, its cohort, and how that was split: those in no part have taught it nothing, and are left out.
    settings, progress
        As of :func:`core.audit.marks.mark_cohort`.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    parts = _parts_of(split)
    used = tuple(study for study in cohort if study.label is not None and _part(study, parts))
    by_person = {study.person: _part(study, parts) for study in reversed(used)}
    among = [sequence for sequence in MRSequence if sequence in run.config.prep.sequences] or tuple(MRSequence)
    marks = mark_cohort(replace(cohort, studies=used), settings, among=among, progress=progress)
    persons = tuple(
        replace(one, part=by_person[one.person], pixels=thin_marks(one.pixels, SLICES)) for one in marks.persons
    )
    marks = replace(marks, persons=persons)
    write_atomic(run.path / FILE, _encode(marks))
    return marks


def read_persons(run: RunFolder) -> CohortMarks | None:
    """Return the marks of a run's patients, with their ids as its split has them; None where the run holds none.

    Raises
    ------
    RunError
        The file is damaged.
    """
    path = run.path / FILE
    if not path.exists():
        return None
    try:
        return _decode(read_document(path), run)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} is damaged ({type(error).__name__}); delete it: it is made again where the run's data are at hand."
        ) from error


def known_persons(run: RunFolder, settings: Settings, progress: Progress = silent) -> CohortMarks | None:
    """Return the marks of a run's patients; of an old run they are made from its data, None where these are gone or changed.

    Raises
    ------
    RunError
        Its file of them, or its split, is damaged.
    """
    stored = read_persons(run)
    if stored is not None:
        return stored
    split = run.split()
    try:
        cohort = open_cohort(run.source, progress, settings)
    except DataError:
        return None
    return store_persons(run, cohort, split, settings, progress) if cohort.digest == split.cohort_digest else None


def list_ledger_marks(persons: Iterable[PersonMarks], scopes: Iterable[str] = ()) -> tuple[str, ...]:
    """Return by what the ledger knows persons again, as digests: a UID and some slices of each, and its ids in some scopes.

    Parameters
    ----------
    persons
        Their marks.
    scopes
        Within what equal ids are one person: the digest of a cohort, a family of cohorts.
    """
    scopes = [scope for scope in scopes if scope]
    return tuple(
        mark
        for one in persons
        for mark in (
            *sorted(one.uids)[:1],
            *thin_marks(one.pixels, LEDGER_MARKS),
            *(digest_mark(f"{scope}|{key}") for scope in scopes for key in sorted(one.keys)),
        )
    )


def mark_test_persons(run: RunFolder) -> dict[str, frozenset[str]]:
    """Return by what the ledger knows each of a run's test patients, by its id; of an old run without marks the id alone."""
    return mark_split(run.split(), "test", read_persons(run))


def marks_to_count(run: RunFolder, settings: Settings) -> frozenset[str]:
    """Return by what the ledger's evaluations of a run's test patients are found.

    Those are their marks, and the test digests of other splits here that share a test patient with it: an older version
    recorded nothing else.
    """
    split = run.split()
    marks = frozenset().union(*mark_test_persons(run).values())
    shared = set()
    for other in _list_others(run, settings):
        with suppress(MGMTLabError):
            theirs = other.split()
            if theirs.cohort_digest == split.cohort_digest and not marks.isdisjoint(
                _marks_elsewhere(other, theirs, "test")
            ):
                shared.add(theirs.test_digest)
    return marks | shared


def mark_split(split: Split, part: str, known: CohortMarks | None = None) -> dict[str, frozenset[str]]:
    """Return by what the ledger knows each person of a part of a split, by its id; `known` are the marks of its run."""
    scopes = (split.cohort_digest, known.family if known else "")
    stored = {one.person: list_ledger_marks([one], scopes) for one in known.persons} if known else {}
    names = [name for name, of in _parts_of(split).items() if of == part]
    return {
        name: frozenset({digest_mark(f"{split.cohort_digest}|{digest_id(name)}"), *stored.get(name, ())})
        for name in names
    }


def trace_persons(run: RunFolder, settings: Settings) -> PersonHistory:
    """Return how many of a run's test patients have been judged or trained on before by others, from ledger and runs.

    A run that was deleted for good leaves its evaluations in the ledger, but not whom it was trained on.
    """
    return trace_split(run.split(), mark_test_persons(run), settings, run)


def trace_split(
    split: Split, own: Mapping[str, frozenset[str]], settings: Settings, run: RunFolder | None = None
) -> PersonHistory:
    """As :func:`trace_persons`, of a split; `own` are the marks of its test persons, and `run` does not count itself."""
    judged = set(evaluated_marks(settings, without=(run.name if run else "", split.test_digest)))
    taught: set[str] = set()
    for other in _list_others(run, settings):
        try:
            theirs = other.split()
        except MGMTLabError:
            continue
        for part in PARTS:
            if part == "test" and theirs.test_digest not in judged:
                continue
            marks = _marks_elsewhere(other, theirs, part, theirs.cohort_digest != split.cohort_digest)
            (judged if part == "test" else taught).update(marks)
    everybody = not judged.isdisjoint({split.test_digest, split.cohort_digest})
    return PersonHistory(
        persons=len(own),
        judged_before=len(own) if everybody else sum(not judged.isdisjoint(marks) for marks in own.values()),
        trained_before=sum(not taught.isdisjoint(marks) for marks in own.values()),
    )


def _list_others(run: RunFolder | None, settings: Settings) -> Iterator[RunFolder]:
    """Yield every other run with a split: those of the list, and those of experiments."""
    for home, pattern in ((settings.runs, "*/split.json"), (settings.experiments, "*/runs/*/split.json")):
        for path in sorted(home.glob(pattern)):
            if (run is None or path.parent != run.path) and not path.parent.name.startswith("."):
                yield RunFolder(path.parent)


def _marks_elsewhere(other: RunFolder, split: Split, part: str, all_marks: bool = False) -> frozenset[str]:
    """Marks of the persons of another run's part; within one cohort their ids are enough."""
    stored = other.path / FILE
    if not all_marks or not stored.exists():
        return frozenset().union(*mark_split(split, part).values())
    return _marks_of(other.path, part, stored.stat().st_mtime_ns)


@lru_cache(maxsize=1024)
def _marks_of(path: Path, part: str, changed: int) -> frozenset[str]:
    other = RunFolder(path)
    try:
        known = read_persons(other)
        return frozenset().union(*mark_split(other.split(), part, known).values())
    except MGMTLabError:
        return frozenset()


def _parts_of(split: Split) -> dict[str, str]:
    """Return the part of each person, or of each study where the split is by slice; the earlier part where in several."""
    parts: dict[str, str] = {}
    for part in reversed(PARTS):
        for unit in split.units(part):
            parts[unit if split.unit == "patient" else unit.partition("|")[0]] = part
    return parts


def _part(study: Study, parts: Mapping[str, str]) -> str:
    return parts.get(study.person) or parts.get(study.study_id) or ""


def _encode(marks: CohortMarks) -> str:
    """Write marks as JSON; a person's own id becomes a digest too."""
    persons = [
        {
            "person": digest_mark(one.person), "part": one.part, "keys": sorted(one.keys), "uids": sorted(one.uids),
            "pixels": list(one.pixels),
            "prints": [[str(sequence), pack_levels(content)] for sequence, content in one.prints],
        }
        for one in marks.persons
    ]  # fmt: skip
    document = {
        "schema": SCHEMA,
        "family": marks.family,
        "sequences": [str(sequence) for sequence in marks.sequences],
        "persons": persons,
    }
    return json.dumps(document, separators=(",", ":"))


def _decode(content: Mapping[str, Any], run: RunFolder) -> CohortMarks:
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema {content['schema']}")
    names = {digest_mark(name): name for name in _parts_of(run.split())}
    persons = tuple(
        PersonMarks(
            person=names.get(one["person"], one["person"]),
            keys=frozenset(map(str, one["keys"])),
            uids=frozenset(map(str, one["uids"])),
            pixels=tuple(map(str, one["pixels"])),
            prints=tuple((MRSequence(sequence), unpack_levels(text)) for sequence, text in one.get("prints", ())),
            part=str(one["part"]),
        )
        for one in content["persons"]
    )
    sequences = tuple(MRSequence(sequence) for sequence in content["sequences"])
    return CohortMarks(name=f"run {run.name}", family=str(content["family"]), persons=persons, sequences=sequences)
