"""Which series of a study are used: the one answer for training, evaluation, prediction, masks and maps.

Whether several may be laid over each other says their Frame of Reference UID (0020,0052): positions of two DICOM series can
be compared where it is the same (PS3.3 C.7.4.1). NIfTI has no such attribute, and de-identification often removes it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from core.data.index.assign import ASSIGNED, series_order
from core.data.study import Series, Study
from core.errors import FrameOfReferenceError, refusal
from core.mri import MRSequence

if TYPE_CHECKING:
    from core.config import PrepConfig

Source = Sequence[Series]
"""What is prepared together: one series, or a study's on a common grid (``PrepConfig.grid_mm`` above 0), in order."""
Frames = Literal["same", "different", "unknown"]


def select_sources(study: Study, prep: PrepConfig) -> list[Source]:
    """Return the series of a study that are prepared, each by itself or together.

    Taken are series of ``prep.sequences``, and loose images that do not say what they are; never a series that a person
    set aside. ``prep.series_selection`` says whether of several series of one sequence the best one is taken
    (:func:`core.data.index.assign.series_order`) or every one.

    Parameters
    ----------
    study
        Its label is not used.
    prep
        ``sequences``, ``series_selection`` and ``grid_mm``.

    Returns
    -------
    list
        In the order of sequence, series UID and files, which does not depend on how the study was found. On a common grid
        at most one source: the best series of each sequence, in the order of ``prep.sequences``.
    """
    of_sequence: dict[MRSequence, list[Series]] = defaultdict(list)
    for series in study.series:
        if not is_set_aside(series) and (series.sequence in prep.sequences or _is_unnamed_image(series)):
            of_sequence[series.sequence].append(series)
    if prep.grid_mm:
        together = tuple(min(of_sequence[name], key=series_order) for name in prep.sequences if name in of_sequence)
        return [together] if together else []
    if prep.series_selection == "one":
        chosen = [min(candidates, key=series_order) for candidates in of_sequence.values()]
    else:
        chosen = [series for candidates in of_sequence.values() for series in candidates]
    return [(series,) for series in sorted(chosen, key=identify_series)]


def is_set_aside(series: Series) -> bool:
    """Whether a person assigned "unknown" to a series, so that it is not used at all."""
    return series.sequence is MRSequence.UNKNOWN and series.sequence_reason == ASSIGNED


def number_series(series: Iterable[Series]) -> dict[tuple[str, ...], int]:
    """Number the series of each sequence of each study in canonical order, from 0; keys are :func:`identify_series`.

    The number is part of a slice's key ("study|sequence|number|slice"), so it does not depend on which series are used.
    """
    counts: dict[tuple[str, str], int] = defaultdict(int)
    numbers: dict[tuple[str, ...], int] = {}
    for one in sorted(series, key=identify_series):
        numbers[identify_series(one)] = counts[one.study_id, one.sequence]
        counts[one.study_id, one.sequence] += 1
    return numbers


def identify_series(series: Series) -> tuple[str, ...]:
    """Return what tells a series from all others of a cohort, and sorts them: study, sequence, series UID, first file."""
    return series.study_id, str(series.sequence), series.series_uid, str(next(iter(series.files), ""))


def _is_unnamed_image(series: Series) -> bool:
    return series.sequence is MRSequence.UNKNOWN and series.kind == "picture"


def compare_frames(series: Iterable[Series]) -> Frames:
    """Return "different" where two series state different frames, "unknown" where one of several states none."""
    stated = [one.frame_of_reference_uid for one in series]
    if len(set(stated) - {""}) > 1:
        return "different"
    return "unknown" if "" in stated and len(stated) > 1 else "same"


def check_frames(source: Sequence[Series], prep: PrepConfig) -> None:
    """Refuse to lay series of different frames over each other; see ``PrepConfig.frames``.

    Raises
    ------
    FrameOfReferenceError
        A common grid is asked for, the frames are known to differ, and ``prep.frames`` is "refuse".
    """
    if prep.grid_mm and prep.frames == "refuse" and compare_frames(source) == "different":
        raise FrameOfReferenceError(refusal("frames_of_reference", study=source[0].study_id, found=_describe(source)))


def warn_frames(source: Sequence[Series], prep: PrepConfig) -> list[str]:
    """Say what is assumed of series on a common grid: at most one sentence."""
    found = compare_frames(source) if prep.grid_mm else "same"
    if found == "unknown":
        silent = ", ".join(str(one.sequence) for one in source if not one.frame_of_reference_uid)
        return [f"{silent} state no frame of reference: the series are assumed to be registered to one another."]
    if found == "different":
        return [
            f"The series lie in different frames of reference ({_describe(source)}) and are assumed to be registered to one "
            "another, as the checkpoint's preparation says (frames=assume_registered)."
        ]
    return []


def count_frames(studies: Iterable[Study]) -> dict[Frames, int]:
    """Count studies of two or more volumes by whether these share a frame of reference."""
    counts: Counter[Frames] = Counter()
    for study in studies:
        volumes = [one for one in study.series if one.kind != "picture" and not is_set_aside(one)]
        if len(volumes) > 1:
            counts[compare_frames(volumes)] += 1
    return {"same": counts["same"], "different": counts["different"], "unknown": counts["unknown"]}


def note_frames(studies: Iterable[Study]) -> list[str]:
    """Say in how many studies a common grid would be refused, and in how many registration is assumed."""
    counts = count_frames(studies)
    notes = []
    if counts["different"]:
        notes.append(
            f"In {counts['different']} studies the series lie in different frames of reference: a preparation on a common grid "
            "leaves these studies out, unless they are registered or frames=assume_registered is set."
        )
    if counts["unknown"]:
        notes.append(
            f"In {counts['unknown']} studies not every series states its frame of reference: on a common grid they are assumed "
            "to be registered."
        )
    return notes


def _describe(source: Sequence[Series]) -> str:
    """Name the series frame by frame: "FLAIR, T1w | T2w"."""
    groups: dict[str, list[str]] = {}
    for one in source:
        groups.setdefault(one.frame_of_reference_uid, []).append(str(one.sequence))
    return " | ".join(", ".join(names) + ("" if uid else " (none stated)") for uid, names in groups.items())
