"""Which series of a study a checkpoint answers for, and what is said of those that it leaves out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from core.config import PrepConfig
from core.data.names.session_names import operation_of, title_session
from core.data.select import Source, is_set_aside, select_sources, warn_frames
from core.data.study import Series, Study
from core.data.volume import find_plane_before
from core.errors import SequenceError, refusal
from core.models.card import CheckpointCard
from core.mri import MRSequence

UNNAMED_WARNING = (
    "The images do not say which MR sequence they are, and this checkpoint was trained on {known}; "
    "the answer holds only if they are one of these. Name the sequence if you know it."
)

GUESS_WARNING = (
    "That {series} is {sequence} is a guess: {reason}. Look at it; if it is another, choose that in the table of series "
    "(command line: --assign UID=SEQUENCE)."
)

AFTER_WARNING = "This is session {session}; a checkpoint that learnt from scans before an operation says nothing of it."


def choose_sources(study: Study, card: CheckpointCard) -> tuple[list[Source], list[str]]:
    """Return the sources of a study that a checkpoint can answer for, as training selected them.

    Returns
    -------
    sources, warnings
        :func:`core.data.select.select_sources` with the card's preparation and of the sequences that the card knows; where
        there is none, loose images that do not say what they are. A sentence for each series that is left out.

    Raises
    ------
    SequenceError
        None is left.
    """
    prep = card.config.prep.model_copy(update={"sequences": card.sequences})
    selected = select_sources(study, prep)
    known = [source for source in selected if source[0].sequence in card.sequences]
    warnings = [] if known or not selected else [UNNAMED_WARNING.format(known=_join(card.sequences))]
    sources = known or selected
    used = [series for source in sources for series in source]
    for sequence in card.sequences:
        warnings += _about_choice(sequence, study, used)
    warnings += [
        f"{_describe(series)} is left out: {_reason(series, card)}"
        for series in study.series
        if series not in used and (is_set_aside(series) or series.sequence not in card.sequences)
    ]
    if not sources:
        found = _join(sorted({_tell_unknown(series) for series in study.series})) or "no series"
        raise SequenceError(
            refusal(
                "other_sequences",
                study=study.study_id,
                checkpoint=card.name,
                known=_join(card.sequences),
                found=found,
                remedy=_remedy(study, card),
            )
        )
    warnings += [sentence for source in sources for sentence in warn_frames(source, prep)]
    if operation_of(study) in ("after", "before radiotherapy"):
        warnings.insert(0, AFTER_WARNING.format(session=title_session(study)))
    return sources, [*warnings, *_about_reading(used, prep)]


def _about_reading(used: Sequence[Series], prep: PrepConfig) -> list[str]:
    """Say what was assumed in reading the series, a sentence for each assumption, and where training read them otherwise."""
    assumed: dict[str, list[str]] = {}
    for series in used:
        for doubt in series.doubts:
            assumed.setdefault(doubt, []).append(str(series.sequence))
    warnings = [f"{_join(dict.fromkeys(names))}: {doubt}." for doubt, names in assumed.items()]
    for series in used if prep.reader_version == 1 and not prep.grid_mm else ():
        if series.kind == "picture" and series.slice_total > len(series.files):
            warnings.append(
                f"{series.sequence}: of each file the first page alone is read, as in the training of this checkpoint "
                "(reader_version 1)."
            )
        plane = find_plane_before(series)
        if plane != series.plane:
            warnings.append(
                f"{series.sequence}: it is read as {plane}, as in the training of this checkpoint (reader_version 1), though "
                f"it is {series.plane}."
            )
    return warnings


def _about_choice(sequence: MRSequence, study: Study, used: Sequence[Series]) -> list[str]:
    """Say which of several series of one sequence are used, and which are only guessed to be of it."""
    candidates = [one for one in study.series if one.sequence == sequence and not is_set_aside(one)]
    taken = [one for one in candidates if one in used]
    others = [f"{_describe(one)} ({len(one.files)} files)" for one in candidates if one not in used]
    guessed = [
        GUESS_WARNING.format(series=_name(one), sequence=sequence, reason=one.sequence_reason)
        for one in taken
        if one.sequence_confidence == "guess"
    ]
    if len(candidates) < 2:
        return guessed
    if not others:
        return [*guessed, f"{sequence}: all {len(taken)} series are used, as in the training of this checkpoint."]
    why = taken[0].sequence_reason or "the first"
    return [
        *guessed,
        f"{sequence}: {len(candidates)} series; {_describe(taken[0])} ({len(taken[0].files)} files; {why}) is used, and left "
        f"out: {', '.join(others)}.",
    ]


def _reason(series: Series, card: CheckpointCard) -> str:
    if is_set_aside(series):
        return "it was set aside by you."
    if series.sequence == MRSequence.UNKNOWN:
        why = f" ({series.sequence_reason})" if series.sequence_reason else ""
        return f"it is not known to be {_join(card.sequences)}{why}."
    return f"the checkpoint was trained on {_join(card.sequences)} and never saw {series.sequence}."


def _remedy(study: Study, card: CheckpointCard) -> str:
    if study.series and all(is_set_aside(series) for series in study.series):
        return "All its series are set aside; assign one of these sequences to the right one."
    if set(card.sequences) == {MRSequence.UNKNOWN}:
        return (
            "It learnt from images that do not name their sequence: hand in such images, or train a checkpoint on "
            "a cohort that names them."
        )
    if all(series.sequence == MRSequence.UNKNOWN for series in study.series if not is_set_aside(series)):
        return refusal("unknown_sequence")
    return refusal("hand_in_others")


def warn_missing(study: Study, card: CheckpointCard, used: Collection[MRSequence]) -> list[str]:
    missing = [sequence for sequence in card.sequences if study.find(sequence) is None]
    if not missing or MRSequence.UNKNOWN in used:
        return []
    return [f"The study has no {_join(missing)}; the answer rests on {_join(sorted(used))} alone."]


def _name(series: Series) -> str:
    return f"{series.description!r} ({series.series_uid})" if series.description else repr(series.series_uid)


def _tell_unknown(series: Series) -> str:
    """Return a series' sequence, with the reason where its name says more than one, so that it counts as none."""
    several = series.sequence == MRSequence.UNKNOWN and series.sequence_reason.startswith("several weightings")
    return f"{series.sequence} ({series.sequence_reason})" if several else str(series.sequence)


def _describe(series: Series) -> str:
    return f"{series.sequence} ({series.description})" if series.description else str(series.sequence)


def _join(names: Iterable[str]) -> str:
    return ", ".join(str(name) for name in names)
