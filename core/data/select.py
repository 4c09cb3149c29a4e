"""Which series of a study are used: the one answer for training, evaluation, prediction, masks and maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from core.data.index.assign import ASSIGNED, series_order
from core.data.study import Series, Study
from core.mri import MRSequence

if TYPE_CHECKING:
    from core.config import PrepConfig

Source = Sequence[Series]
"""What is prepared together: one series, or a study's on a common grid (``PrepConfig.grid_mm`` above 0), in order."""


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
