"""Ids, persons and sessions of the examinations that folders hold, from all their names together."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.data.clinical.labels import normalise_id
from core.data.formats.discovery import natural_key
from core.data.names.subject_names import is_session_name, split_session, subject_of_folder
from core.data.names.timepoints import word_of
from core.data.study import ExaminationScan, Series

ODD = re.compile(r"[^\w.\- ]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStudy:
    """An examination with its id."""

    study_id: str
    person: str
    session: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """Whose an examination is, by the names on the way to it."""

    folder: str
    """The folder's person; empty where the folder is a session of those below it."""
    below: tuple[str, ...]
    """Names below it that are no sessions', from the top."""
    session: str


def name_studies(folders: Sequence[tuple[str, Sequence[ExaminationScan]]], *, alone: bool) -> list[NamedStudy]:
    """Give each examination an id, a person and a session.

    A folder with one examination gives it its name. Of several, those of one Patient ID, those named as sessions
    (``ses-01``, ``week-3``), and those named alike in several folders are sessions of the folder's person; others are
    persons.

    Parameters
    ----------
    folders
        Name and examinations of each.
    alone
        Whether the only folder is what was handed in: then its name is no part of the ids of several.
    """
    repeated = Counter(name for _, found in folders for name in {_last(one) for one in found} if name)
    owners = [[_owner_of(folder, one) for one in found] for folder, found in folders]
    groups = any(len({one.below[-1] for one in found if _numbers_somebody(one.below)}) > 1 for found in owners)
    named: list[tuple[tuple[str, ...], str, str, tuple[Series, ...]]] = []
    for (folder, found), theirs in zip(folders, owners, strict=True):
        for one, owner in zip(found, theirs, strict=True):
            is_group = groups and _numbers_somebody(owner.below) and not _numbers_somebody((folder,))
            if not owner.folder:
                named.append((owner.below, owner.session, "", one.series))
            elif len(found) == 1 and not is_group:
                named.append(((owner.folder,), owner.session, folder, one.series))
            elif _is_session(folder, one, owner, found, repeated, alone):
                named.append(((owner.folder,), _join(*owner.below, owner.session), "", one.series))
            else:
                above = () if alone and owner.below else (owner.folder,)
                below = owner.below or ((str(one.number),) if one.number else ())
                named.append(((*above, *below), owner.session, "", one.series))
    shortest = _shorten([names for names, *_ in named])
    sessions: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for names, session, *_ in named:
        sessions[names].add(session)
    studies = []
    for names, session, study_id, series in named:
        person = normalise_id(ODD.sub("_", shortest[names])) if names != (study_id,) else study_id
        several = session and len(sessions[names]) > 1
        study_id = study_id or (f"{person}_{ODD.sub('_', session)}" if several else person)
        studies.append(NamedStudy(study_id=study_id, person=person, session=session, series=_renamed(series, study_id)))
    return _make_unique(studies)


def _last(one: ExaminationScan) -> str:
    return one.name or (one.place[-1] if one.place else "")


def _owner_of(folder: str, one: ExaminationScan) -> _Owner:
    person, session = split_session(folder)
    sessions, below = [session], []
    parts = (*one.place, *([one.name] if one.name else []))
    are_persons = all(word_of(part) == part or is_session_name(part) for part in parts)
    for part in parts:
        if is_session_name(part) or (word_of(part) == part and not are_persons):
            sessions.append(part)
        else:
            name, session = split_session(part)
            below.append(name)
            sessions.append(session)
    if is_session_name(folder) and below:
        person, sessions = "", [folder, *sessions]
    kept = tuple(name for number, name in enumerate(below) if name not in (person, *below[:number]))
    return _Owner(folder=person, below=kept, session=_join(*dict.fromkeys(sessions), str(one.number or "")))


def _numbers_somebody(names: tuple[str, ...]) -> bool:
    return bool(names) and (bool(subject_of_folder(names[-1])) or (names[-1].isdecimal() and len(names[-1]) > 2))


def _is_session(
    folder: str,
    one: ExaminationScan,
    owner: _Owner,
    found: Sequence[ExaminationScan],
    repeated: Counter[str],
    alone: bool,
) -> bool:
    """Whether the names below a folder are those of sessions of its person."""
    if one.patient and len({other.patient for other in found}) == 1:
        return True
    if one.number and not alone:
        return True
    if not owner.below or one.name or _numbers_somebody(owner.below):
        return False
    return _numbers_somebody((folder,)) or repeated[_last(one)] > 1


def _join(*names: str) -> str:
    return "_".join(name for name in names if name)


def _shorten(owners: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Call each owner by its last name where no other has it, else by all."""
    lasts = Counter(owner[-1] for owner in set(owners))
    return {owner: owner[-1] if lasts[owner[-1]] == 1 else _join(*owner) for owner in owners}


def _renamed(series: Sequence[Series], study_id: str) -> tuple[Series, ...]:
    """Give series that were made for their folder the study's id; those of files without a UID bear it in theirs."""
    return tuple(
        one
        if one.study_id == study_id
        else replace(
            one,
            study_id=study_id,
            series_uid=one.series_uid
            if one.kind == "dicom"
            else f"{study_id}{one.series_uid.removeprefix(one.study_id)}",
        )
        for one in series
    )


def _make_unique(studies: Sequence[NamedStudy]) -> list[NamedStudy]:
    """Number the ids that are taken."""
    taken: Counter[str] = Counter()
    unique = []
    for study in sorted(studies, key=lambda one: (natural_key(one.study_id), natural_key(one.session))):
        taken[study.study_id] += 1
        if taken[study.study_id] > 1:
            study_id = f"{study.study_id}-{taken[study.study_id]}"
            study = replace(study, study_id=study_id, person=study_id, series=_renamed(study.series, study_id))
        unique.append(study)
    return unique
