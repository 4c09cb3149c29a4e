"""Which series stands for a sequence where a study holds several, why, and a person's word against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from core.data.names.subject_names import may_number_series
from core.data.study import Cohort, Series, Study
from core.errors import ConfigError
from core.mri import MRSequence

ASSIGNED = "as assigned by you"
"""The reason (``Series.sequence_reason``) of a sequence that a person stated."""
NOTES_SHOWN = 2
UIDS_SHOWN = 8


def series_order(series: Series) -> tuple[int, bool, bool, int, str]:
    """Sort key: the four sequences in their order, and of one sequence the series to be used first.

    That is the one a person assigned; then one that was recognised, before one that was guessed; then the one with
    more slices.
    """
    return (
        list(MRSequence).index(series.sequence),
        series.sequence_reason != ASSIGNED,
        series.sequence_confidence == "guess",
        -(series.slice_total or len(series.files)),
        series.series_uid,
    )


def apply_overrides(cohort: Cohort, overrides: Mapping[str, MRSequence] | None) -> Cohort:
    """Return the cohort with some series' sequences as a person states them.

    Parameters
    ----------
    cohort
        What was scanned.
    overrides
        Series UID (``Series.series_uid``) to sequence; UNKNOWN sets a series aside.

    Raises
    ------
    ConfigError
        No series has that UID; some of those there are are named.
    """
    if not overrides:
        return cohort
    known = {series.series_uid for series in cohort.series}
    strangers = sorted(overrides.keys() - known)
    if strangers:
        there = ", ".join(f"{series.series_uid} ({series.sequence})" for series in list(cohort.series)[:UIDS_SHOWN])
        more = ", ..." if len(known) > UIDS_SHOWN else ""
        raise ConfigError(f"No series has the UID {strangers[0]!r}; there are: {there}{more}.")
    studies = tuple(replace(study, series=_reassign(study.series, overrides)) for study in cohort.studies)
    return replace(cohort, studies=studies)


def note_choices(studies: Iterable[Study]) -> tuple[str, ...]:
    """Say, for each study with several series of one sequence, which is used, why, and how to choose another."""
    notes = []
    for study in studies:
        for sequence in MRSequence:
            candidates = [series for series in study.series if series.sequence is sequence]
            if len(candidates) > 1 and sequence is not MRSequence.UNKNOWN:
                notes.append(_describe_choice(study, sequence, candidates))
    more = len(notes) - NOTES_SHOWN
    return (*notes[:NOTES_SHOWN], *([f"So in {more} further cases."] if more > 0 else []))


def note_single_series(studies: Sequence[Study]) -> tuple[str, ...]:
    """Say that folders which are named by numbers may be the series of one study: each holds one sequence, none the same."""
    single = [study.series[0] for study in studies if len(study.series) == 1]
    sequences = {one.sequence for one in single} - {MRSequence.UNKNOWN}
    numbered = all(may_number_series(one.files[0].parent.name) for one in single)
    if not (numbered and len(studies) == len(single) == len(sequences) > 1):
        return ()
    return (
        f"Each of the {len(single)} studies holds one sequence, no other the same: if their folders are the series of one "
        "patient, put them into a folder that is named after the patient, and name the folder above that one.",
    )


def note_doubts(studies: Iterable[Study]) -> tuple[str, ...]:
    """Say what was assumed in reading series because their files do not state it, and of how many."""
    counts = Counter(doubt for study in studies for series in study.series for doubt in series.doubts)
    return tuple(f"Assumed of {count} series: {doubt}." for doubt, count in sorted(counts.items()))


def _reassign(series: Sequence[Series], overrides: Mapping[str, MRSequence]) -> tuple[Series, ...]:
    changed = [
        replace(
            one,
            sequence=overrides[one.series_uid],
            sequence_reason=ASSIGNED,
            sequence_confidence="" if overrides[one.series_uid] is MRSequence.UNKNOWN else "certain",
        )
        if one.series_uid in overrides
        else one
        for one in series
    ]
    return tuple(sorted(changed, key=series_order))


def _describe_choice(study: Study, sequence: MRSequence, candidates: Sequence[Series]) -> str:
    used, *others = candidates
    if used.sequence_reason == ASSIGNED:
        why = ASSIGNED
    elif used.sequence_confidence != "guess" and others[0].sequence_confidence == "guess":
        why = "it was recognised by name, and the other guessed"
    elif _slices(used) > _slices(others[0]):
        why = "it has the most slices"
    else:
        why = "the first of equals"
    left = "; ".join(_describe(series) for series in others)
    return (
        f"Study {study.study_id} has {len(candidates)} series of {sequence}: {_describe(used)} is used ({why}), not "
        f"{left}. To choose another, assign it: UID={sequence}; to leave one out altogether, UID=unknown; to train on all, "
        "series_selection=all."
    )


def _describe(series: Series) -> str:
    name = series.description or series.files[0].parent.name
    return f"{name!r} of {_slices(series)} slices ({series.series_uid}; {series.sequence_reason})"


def _slices(series: Series) -> int:
    return series.slice_total or len(series.files)
