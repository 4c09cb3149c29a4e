"""Who a run's patients are, as digests: ``persons.json`` beside its split, by which they are known again in another cohort."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.audit.fingerprint import pack_levels, unpack_levels
from core.audit.marks import CohortMarks, PersonMarks, digest_mark, mark_cohort, thin_marks
from core.data.study import Cohort, Study
from core.dataset.split import PARTS, Split
from core.errors import DataError, RunError
from core.files import write_atomic
from core.mri import MRSequence
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder
from core.settings import Settings

FILE = "persons.json"
SCHEMA = 1
SLICES = 32
"""Slices of a person whose digests are kept, or half as many: enough to know a part of a scan again."""


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
        return _decode(json.loads(path.read_text()), run)
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
