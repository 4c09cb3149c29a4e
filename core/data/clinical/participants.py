"""Who takes part in a cohort: labels, sessions and covariates from its clinical table, and who is excluded and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from statistics import median
from typing import Any, Literal

from core.data.clinical.covariates import read_covariates
from core.data.clinical.labels import LabelTable
from core.data.formats.discovery import natural_key
from core.data.index.imagefolder import name_some
from core.data.names.session_names import PLACES, operation_of, read_dates, title_session
from core.data.study import Cohort, Study
from core.errors import ConfigError, EmptyCohortError
from core.mri import MRSequence

ALL_SESSIONS = "all"
LAST_SESSION = "last"
VALUES_SHOWN = 3
FOUR_SEQUENCES = frozenset(MRSequence) - {MRSequence.UNKNOWN}


def attach_labels(cohort: Cohort, table: LabelTable, levels: Mapping[str, Mapping[str, str]] | None = None) -> Cohort:
    """Return the cohort with the labels and covariates of a table; studies whose status is not known are excluded.

    A study is found by its own id, else by its person's. One that the table does not hold stays, without a label.

    Parameters
    ----------
    cohort
        Not changed.
    table
        What :func:`core.data.clinical.labels.read_labels` read.
    levels
        What the codes of its columns mean (:func:`core.data.clinical.covariates.read_covariates`).
    """
    rows = {study.study_id: table.find(study.study_id, study.person) for study in (*cohort.studies, *cohort.excluded)}
    used: list[Study] = []
    excluded: list[Study] = []
    for study in (*cohort.studies, *cohort.excluded):
        row = rows[study.study_id]
        if row is not None:
            covariates = {**study.covariates, **read_covariates(row.cells, levels)}
            study = replace(study, covariates=covariates, excluded=study.excluded or row.reason)
            study = replace(study, label=None if study.excluded else row.label)
        (excluded if study.excluded else used).append(study)
    found = {row.row_id for row in rows.values() if row}
    notes = _note_labels(used, excluded, [study.study_id for study in used if rows[study.study_id] is None], table)
    orphans = tuple(sorted(table.rows.keys() - found))
    if orphans:
        notes.append(f"Labels of studies that are not here: {len(orphans)}.")
    return replace(
        cohort,
        studies=tuple(used),
        excluded=tuple(excluded),
        class_names=table.class_names,
        positive_class=1,
        notes=(*cohort.notes, *notes),
        labels_without_study=orphans,
    )


def choose_sessions(
    cohort: Cohort, wanted: str | None = None, preoperative: Collection[tuple[str, str]] = ()
) -> Cohort:
    """Return the cohort with one session of each person, the others excluded.

    Parameters
    ----------
    cohort
        Not changed.
    wanted
        None: the one before the operation, else the first; where that one lacks one of the four sequences, the first that
        has them all, of sessions before the operation if it is one, never one after it instead. "last", "all", or the name
        of a session, which persons without it do not have.

    preoperative
        Person and session of those that a table of the cohort says are before the operation.

    Raises
    ------
    ConfigError
        No study is of the session `wanted`; or which of a person's sessions is the first depends on whether the day or the
        month stands first in their dates, which no date of the cohort tells.
    """
    persons: dict[str, list[Study]] = defaultdict(list)
    for study in cohort.studies:
        persons[study.person].append(study)
    sessions = sorted({study.session for study in cohort if study.session}, key=natural_key)
    if not sessions or wanted == ALL_SESSIONS:
        return cohort
    meanings: dict[str, set[str]] = defaultdict(set)
    for study in cohort.studies:
        meanings[study.session_words.casefold()].add(study.session)
    if wanted is not None and wanted not in (LAST_SESSION, *sessions):
        meant = meanings[wanted.casefold()]
        if not wanted or len(meant) != 1:
            also = [words for words, names in meanings.items() if words and len(names) == 1]
            named = f"{name_some(sessions)}{f' (or {name_some(sorted(also))})' if also else ''}"
            raise ConfigError(
                f"No study is of session {wanted!r}; there are: {named}. Choose one with --session, or {ALL_SESSIONS}."
            )
        (wanted,) = meant
    dates = read_dates(sessions)
    reasons: dict[str, str] = {}
    completed = 0
    for studies in persons.values():
        ordered = order_sessions(studies, preoperative, dates)
        if wanted in (None, LAST_SESSION):
            _check_dates(ordered, preoperative, dates)
            used = ordered[0 if wanted is None else -1]
            if wanted is None and _count_sequences(studies, used.session) < len(FOUR_SEQUENCES):
                rank = _rank(used, preoperative)
                alike = [study for study in ordered if _rank(study, preoperative) == rank]
                whole = [one for one in alike if _count_sequences(studies, one.session) == len(FOUR_SEQUENCES)]
                completed += bool(whole)
                used = next(iter(whole), used)
            kept = {study.study_id for study in studies if study.session == used.session}
            why = f"session {used.session or 'without a name'} of the same person is used"
            why += "" if used in ordered[:1] or wanted else ", for it has all four sequences"
        else:
            kept = {study.study_id for study in studies if study.session == wanted}
            why = f"session {wanted} was asked for"
        reasons |= {
            study.study_id: f"is session {study.session or 'without a name'}; {why} (--session chooses)"
            for study in studies
            if study.study_id not in kept
        }
    excluded = tuple(
        replace(study, excluded=reasons[study.study_id], label=None) for study in cohort if study.study_id in reasons
    )
    note = f"Sessions: {len(excluded)} of {len(cohort)} studies are other sessions of persons whose {wanted or 'first or pre-operative'} one is used."
    if completed:
        note += f" For {completed} of {len(persons)} persons a later one is used, for the first lacks one of the four sequences and it has all."
    return replace(
        cohort,
        studies=tuple(study for study in cohort if study.study_id not in reasons),
        excluded=(*cohort.excluded, *excluded),
        notes=(*cohort.notes, *([note] if excluded else [])),
    )


def order_sessions(
    studies: Iterable[Study],
    preoperative: Collection[tuple[str, str]] = (),
    dates: Mapping[str, tuple[date, ...]] | None = None,
    reading: int = 0,
) -> list[Study]:
    """Return studies with those before the operation first and those after it last; alike ones by date, else by name.

    Parameters
    ----------
    studies, preoperative
        As :func:`choose_sessions` has them.
    dates
        Of the sessions (:func:`core.data.names.session_names.read_dates`); by default by these studies' names alone.
    reading
        Which of two possible dates counts: 0 the likelier, -1 the other one.
    """
    several = list(studies)
    known = read_dates(study.session for study in several) if dates is None else dates
    undated = {_rank(study, preoperative) for study in several if study.session not in known}

    def key(study: Study) -> tuple[object, ...]:
        rank = _rank(study, preoperative)
        day = date.min if rank in undated else known[study.session][reading]
        return rank, day, natural_key(study.session), natural_key(study.study_id)

    return sorted(several, key=key)


def _check_dates(
    ordered: list[Study], preoperative: Collection[tuple[str, str]], dates: Mapping[str, tuple[date, ...]]
) -> None:
    """Raise ConfigError where a person's sessions are in another order if the day stands first in their dates."""
    if [one.session for one in order_sessions(ordered, preoperative, dates, -1)] == [one.session for one in ordered]:
        return
    names = ", ".join(study.session for study in ordered)
    example = next(days[0] for study in ordered if len(days := dates.get(study.session, ())) > 1)
    raise ConfigError(
        f"Which session of {ordered[0].person} is the first cannot be told: {names} may have the day or the month first. Write "
        f"dates as {example}, or name the session with --session."
    )


def note_sessions(studies: Iterable[Study]) -> list[str]:
    """Say which sessions of one person there are, a sentence for each person with several."""
    persons: dict[str, list[Study]] = defaultdict(list)
    for study in studies:
        if study.session:
            persons[study.person].append(study)
    return [
        f"{person} has {len(several)} sessions: {', '.join(title_session(study) for study in order_sessions(several))}. "
        "Each has an answer of its own."
        for person, several in persons.items()
        if len(several) > 1
    ]


def _count_sequences(studies: Iterable[Study], session: str) -> int:
    """Count which of the four sequences a person's studies of one session have together."""
    found = {series.sequence for study in studies if study.session == session for series in study.series}
    return len(found.intersection(FOUR_SEQUENCES))


def _rank(study: Study, preoperative: Collection[tuple[str, str]]) -> int:
    """0 is a session before the operation; then come those whose names do not say, before radiotherapy, and after it."""
    said = "before" if (study.person, study.session) in preoperative else operation_of(study)
    return PLACES.index(said)


def require_studies(cohort: Cohort) -> Cohort:
    """Return the cohort where a study is left.

    Raises
    ------
    EmptyCohortError
        All are excluded; the reasons are counted.
    """
    if cohort.studies:
        return cohort
    reasons = "; ".join(f"{count} {reason}" for reason, count in count_reasons(cohort.excluded).items())
    raise EmptyCohortError(f"All {len(cohort.excluded)} studies in {cohort.root} are excluded: {reasons}.")


def count_reasons(excluded: Iterable[Study]) -> dict[str, int]:
    """Count excluded studies by reason, the most frequent first; sessions are put together."""
    counts = Counter(
        "another session of the same person is used" if "session" in one.excluded else one.excluded for one in excluded
    )
    return dict(counts.most_common())


def describe_flow(cohort: Cohort) -> dict[str, object]:
    """Return the flow of participants: how many were found, excluded and why, and used, as studies and as persons.

    Returns
    -------
    dict
        ``found``, ``used``, ``unlabelled`` {"studies", "persons"}, ``excluded`` [{"reason", "studies", "persons"}];
        used are those with a label.
    """
    groups: dict[str, list[Study]] = defaultdict(list)
    for study in cohort.excluded:
        (reason,) = count_reasons([study])
        groups[reason].append(study)
    unlabelled = [study for study in cohort if study.label is None]
    return {
        "found": _count((*cohort.studies, *cohort.excluded)),
        "excluded": [{"reason": reason, **_count(groups[reason])} for reason in count_reasons(cohort.excluded)],
        "unlabelled": _count(unlabelled),
        "used": _count(cohort.labelled),
    }


def list_flow(flow: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """Return the steps of a flow (:func:`describe_flow`) in order: its name, and how many studies and persons."""
    steps = [("found", flow["found"])]
    steps += [(f"excluded: {group['reason']}", group) for group in flow["excluded"]]
    if flow["unlabelled"]["studies"]:
        steps.append(("without a label", flow["unlabelled"]))
    steps.append(("used", flow["used"]))
    return [(name, counts["studies"], counts["persons"]) for name, counts in steps]


def tabulate_covariates(cohort: Cohort, by: Literal["label", "site"] | Mapping[str, str]) -> list[dict[str, str]]:
    """Return the covariates of those who take part, a row each, with a column for each label, site or group of persons.

    A covariate of numbers is written as median (smallest to largest), another as its three most frequent values with
    their counts; each with the number of persons it is known of.
    """
    persons = {study.person: study for study in cohort}.values()
    groups: dict[str, list[Study]] = defaultdict(list)
    for study in persons:
        label = "no label" if study.label is None else cohort.class_names[study.label]
        if isinstance(by, str):
            groups[label if by == "label" else str(study.covariates.get("site", "not stated"))].append(study)
        elif study.person in by:
            groups[by[study.person]].append(study)
    names = sorted({name for study in persons for name in study.covariates if name != by})
    return [
        {
            "covariate": name,
            **{
                group: _describe_values([one.covariates.get(name) for one in groups[group]]) for group in sorted(groups)
            },
        }
        for name in names
    ]


def _describe_values(values: Sequence[str | float | None]) -> str:
    known = [value for value in values if value is not None]
    numbers = [value for value in known if isinstance(value, float)]
    if not known:
        return f"0 of {len(values)} known"
    if len(numbers) == len(known):
        text = f"{median(numbers):g} ({min(numbers):g} to {max(numbers):g})"
    else:
        text = ", ".join(f"{value} {count}" for value, count in Counter(map(str, known)).most_common(VALUES_SHOWN))
    return f"{text}; n = {len(known)}"


def _count(studies: Sequence[Study]) -> dict[str, int]:
    return {"studies": len(studies), "persons": len({study.person for study in studies})}


def _note_labels(
    used: Sequence[Study], excluded: Sequence[Study], unlabelled: Sequence[str], table: LabelTable
) -> list[str]:
    notes = [f"Labels from {table.name}: {len(used) - len(unlabelled)} of {len(used)} studies.", *table.notes]
    if unlabelled:
        notes.append(f"Studies without a label: {len(unlabelled)} ({name_some(sorted(unlabelled))}).")
    if excluded:
        reasons = "; ".join(f"{count}: {reason}" for reason, count in count_reasons(excluded).items())
        notes.append(f"Excluded studies: {len(excluded)} ({reasons}).")
    return notes
