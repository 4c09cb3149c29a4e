"""By what the persons of a cohort are known again elsewhere: ids, UIDs and pixels as digests, and fingerprints of brains.

A digest tells whether two things are equal and nothing else, so that a run can keep the marks of its patients
(:mod:`core.runs.persons`) without keeping a name or an image; a fingerprint is a brain in blocks of 7 mm. Marks of pixels are read only where a person asks for a
comparison, and stay in the cache until a file changes.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.audit.duplicates import LEAST_TISSUE
from core.audit.fingerprint import take_fingerprint
from core.audit.pixels import INLINE, digest_image, entry_of, read_slices, share_of_tissue
from core.data.clinical.labels import id_key
from core.data.formats.dicom import read_header
from core.data.study import Cohort, Series, Study
from core.data.volume import read_volume
from core.errors import DataError, may_pass
from core.files import replace_atomically
from core.mri import MRSequence
from core.parallel import run_tasks
from core.progress import Progress, silent
from core.settings import Settings

VERSION = 1
"""Part of every key in the cache: raise it whenever the same files would give other marks."""
PREFERENCE = (MRSequence.T1WCE, MRSequence.FLAIR, MRSequence.T2W, MRSequence.T1W, MRSequence.UNKNOWN)
"""Of sequences that equally many studies have, the earlier is compared."""
FAMILIES = {"rsna-miccai": "brats21", "brats21": "brats21", "folder": "", "bids": ""}
"""Cohorts by adapter whose ids are given out by one hand: equal ids are one person within a family. Ids of any folder, or of
BIDS in general, say nothing outside it; every other adapter is a family of its own."""
UID = re.compile(r"(?=.{12,64}$)\d+(?:\.\d+){2,}")
"""A DICOM UID that somebody was given; series of other kinds have made-up ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonMarks:
    """What one person is known by."""

    person: str
    keys: frozenset[str]
    """Of the ids of the person and of its studies, however they are spelt."""
    uids: frozenset[str] = frozenset()
    """Of StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID."""
    pixels: tuple[str, ...] = ()
    """Of slices that show something, as decoded, in canonical orientation and spatial order."""
    prints: tuple[tuple[MRSequence, bytes], ...] = ()
    """Of each volume that shows a brain, its sequence and its fingerprint (:mod:`core.audit.fingerprint`)."""
    part: str = ""
    """In which part of a run's split it stands: "train", "val" or "test"; empty for a cohort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortMarks:
    """The persons of a cohort, or those of a run, with their marks."""

    name: str
    """What messages call it."""
    family: str
    """Whose ids they are (:data:`FAMILIES`); empty where ids say nothing elsewhere."""
    persons: tuple[PersonMarks, ...]
    sequences: tuple[MRSequence, ...] = ()
    """Sequences whose pixels were read."""
    faults: tuple[str, ...] = ()
    """Series whose pixels could not be read, each with the reason."""


def mark_cohort(
    cohort: Cohort,
    settings: Settings,
    *,
    among: Sequence[MRSequence] = tuple(MRSequence),
    every: bool = False,
    jobs: int | None = None,
    progress: Progress = silent,
) -> CohortMarks:
    """Return the marks of a cohort's persons; pixels are read from the cache where the files are unchanged.

    Parameters
    ----------
    cohort
        What :func:`core.data.cohort.scan_cohort` found.
    settings
        Where the cache lies, and the limits.
    among
        Sequences whose pixels may be read.
    every
        Read all series of these sequences, as for what is compared with a cohort that was marked before; otherwise one
        series of each study, of the sequence that most studies have.
    jobs
        Processes; ``settings.threads`` by default.
    progress
        Called once per series; may raise to cancel, and what was read by then stays in the cache.

    Raises
    ------
    StorageError
        The cache cannot be written.
    """
    chosen = _choose_series(cohort, among, every)
    tasks = [(one, settings) for one in chosen]
    read: dict[str, list[dict[str, Any]]] = {}
    faults = []
    processes = 1 if len(tasks) <= INLINE else jobs or settings.threads
    for done, (series, found) in enumerate(zip(chosen, run_tasks(_mark_series, tasks, jobs=processes), strict=True)):
        progress(done + 1, len(chosen), f"{series.study_id} {series.sequence}")
        content = found if isinstance(found, str) else _open_entry(found)
        if isinstance(content, str):
            faults.append(f"{series.study_id}/{series.sequence}: {content}")
        else:
            read.setdefault(series.study_id, []).append(content | {"sequence": series.sequence})
    return CohortMarks(
        name=str(cohort.root),
        family=family_of(cohort),
        persons=_mark_persons(cohort, read),
        sequences=tuple(dict.fromkeys(series.sequence for series in chosen)),
        faults=tuple(faults),
    )


def family_of(cohort: Cohort) -> str:
    """Return whose ids a cohort's are: equal ids are one person within a family. Synthetic ids are drawn, and say nothing."""
    return "" if cohort.synthetic else FAMILIES.get(cohort.adapter, cohort.adapter)


def digest_mark(text: str) -> str:
    """Return 16 hex digits of a text."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def digest_id(study_id: str) -> str:
    """Return the digest of an id, the same however it is spelt: ``UCSF-PDGM-004`` and ``UCSF-PDGM-0004`` are equal."""
    return digest_mark("|".join(map(str, id_key(study_id))))


def thin_marks(marks: Sequence[str], most: int) -> tuple[str, ...]:
    """Return about `most` of a person's digests, or half as many, chosen by their own value.

    The same ones are chosen of a part as of all, as far as the part has them, so that two thinned lists still meet.
    """
    step = 1
    while len(marks) > most * step:
        step *= 2
    return tuple(mark for mark in marks if int(mark, 16) % step == 0) or tuple(sorted(marks)[:1])


def _choose_series(cohort: Cohort, among: Sequence[MRSequence], every: bool) -> list[Series]:
    """Return the series whose pixels are read, in a fixed order."""
    studies = sorted(cohort, key=lambda study: study.study_id)
    if every:
        return [one for study in studies for one in study.series if one.sequence in among]
    counts = Counter(sequence for study in studies for sequence in {one.sequence for one in study.series} & set(among))
    order = sorted(counts, key=lambda sequence: (-counts[sequence], PREFERENCE.index(sequence)))
    firsts = (next((one for sequence in order if (one := study.find(sequence))), None) for study in studies)
    return [one for one in firsts if one is not None]


def _mark_persons(cohort: Cohort, read: Mapping[str, Iterable[Mapping[str, Any]]]) -> tuple[PersonMarks, ...]:
    groups: dict[str, list[Study]] = {}
    for study in cohort:
        groups.setdefault(study.person, []).append(study)
    persons = []
    for person, studies in sorted(groups.items()):
        contents = [content for study in studies for content in read.get(study.study_id, ())]
        uids = {one.series_uid for study in studies for one in study.series if one.kind == "dicom"}
        persons.append(
            PersonMarks(
                person=person,
                keys=frozenset(digest_id(name) for name in (person, *(study.study_id for study in studies))),
                uids=frozenset(
                    [digest_mark(uid) for uid in uids if UID.fullmatch(uid)]
                    + [uid for content in contents for uid in content["uids"]]
                ),
                pixels=tuple(dict.fromkeys(mark for content in contents for mark in content["pixels"])),
                prints=tuple((one["sequence"], one["levels"]) for one in contents if one["levels"]),
            )
        )
    return tuple(persons)


def _mark_series(series: Series, settings: Settings) -> Path | str:
    """Read one series and write its entry, which another process opens; return where it is, or what was wrong."""
    entry = entry_of(series, settings, "persons", VERSION)
    if entry.exists():
        return entry
    levels = None
    try:
        if series.kind == "picture":
            slices, _, faults = read_slices(series, settings)
        else:
            volume, found = read_volume(series, settings)
            slices, levels = list(volume.array), take_fingerprint(volume.array, volume.affine)
            faults = [fault.reason for fault in found]
    except DataError as error:
        return str(error)
    if passing := next(filter(may_pass, faults), ""):
        return passing
    shown = [one for one in slices if np.ptp(one) > 0]
    marked = [one for one in shown if share_of_tissue(one) >= LEAST_TISSUE] or shown
    pixels = np.array([digest_image(one)[0] for one in marked], dtype=np.uint64)
    with replace_atomically(entry, durable=False) as beside, beside.open("wb") as file:
        uids = np.array(_read_uids(series, settings), dtype=np.str_)
        levels = np.zeros(0, np.uint8) if levels is None else levels
        np.savez_compressed(file, allow_pickle=False, pixels=pixels, uids=uids, levels=levels)
    return entry


def _read_uids(series: Series, settings: Settings) -> list[str]:
    """Return digests of the StudyInstanceUID and the first SOPInstanceUID of a DICOM series."""
    if series.kind != "dicom":
        return []
    try:
        header = read_header(series.files[0], settings)
    except DataError:
        return []
    return [digest_mark(uid) for uid in (header.study_uid, header.sop_instance_uid) if UID.fullmatch(uid)]


def _open_entry(entry: Path) -> dict[str, Any] | str:
    try:
        with np.load(entry, allow_pickle=False) as content:
            pixels = [f"{mark:016x}" for mark in content["pixels"].tolist()]
            return {"pixels": pixels, "uids": content["uids"].tolist(), "levels": content["levels"].tobytes()}
    except (OSError, ValueError, KeyError, EOFError):
        entry.unlink(missing_ok=True)
        return "its entry in the cache was damaged; try again."
