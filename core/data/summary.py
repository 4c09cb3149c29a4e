"""A cohort in figures: what the Cohort page draws and ``index --json`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.data.clinical.participants import describe_flow, tabulate_covariates
from core.data.privacy import survey_identifying_tags
from core.data.select import count_frames
from core.data.study import Cohort, Series
from core.errors import DataError
from core.mri import MRSequence
from core.parallel import run_tasks
from core.progress import Progress, silent
from core.settings import load_settings

FOUR_SEQUENCES = tuple(sequence for sequence in MRSequence if sequence is not MRSequence.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlankCount:
    """How many slices of a series are blank."""

    study_id: str
    sequence: MRSequence
    series_uid: str
    slices: int
    blank: int
    fault: str = ""
    """Why the series could not be read; then both counts are 0."""


def count_slices(series: Series) -> int:
    """Return how many slices (or loose images) a series has, from its headers; 0 where it cannot be read."""
    if series.kind != "nifti":
        return series.slice_total or len(series.files)
    from core.data.formats.nifti import read_nifti_header

    try:
        return read_nifti_header(series.files[0]).shape[0]
    except DataError:
        return 0


def describe_cohort(cohort: Cohort) -> dict[str, Any]:
    """Describe a cohort from what is known without pixels; every value is JSON-ready.

    Returns
    -------
    dict
        ``studies``, ``series``, ``files`` (counts, of what takes part); ``persons``, ``sessions`` (as found);
        ``cohort`` (which adapter), ``excluded`` [{study_id, reason}], ``flow``
        (:func:`core.data.clinical.participants.describe_flow`), ``covariates`` {"label" or "site": rows};
        ``labels`` {class index as text: studies},
        ``unlabelled``; ``class_names``, ``positive_class``; ``sequences`` {name: series}, ``missing`` {name:
        studies without it}; ``planes`` {sequence: {plane: series}} in ``planes_by_sequence`` and {plane: series}
        in ``planes``; ``spacings`` [{sequence, slices_mm, rows_mm, columns_mm, series}], ``sizes`` {"rows x
        columns": series}; ``slices_per_series`` {sequence: {slices as text: series}}; ``manufacturers``;
        ``frames`` {same, different or unknown: studies of several volumes by their frames of reference};
        ``phases`` {phase: studies}; ``recognised`` {certain, likely, guess or unknown: series}; ``privacy``
        {identifying attribute: files}, ``burned_in`` (series whose pixels may carry text); ``unreadable`` [{path, reason}]; ``layout``, ``notes``, ``synthetic``,
        ``digest``, ``root``.
    """
    series = list(cohort.series)
    kinds = sorted({one.sequence for one in series}, key=list(MRSequence).index)
    labels = {str(index): count for index, count in cohort.label_counts().items()}
    return {
        "studies": len(cohort),
        "series": len(series),
        "files": cohort.file_count,
        "cohort": cohort.adapter,
        "persons": len({study.person for study in (*cohort, *cohort.excluded)}),
        "sessions": len(cohort) + len(cohort.excluded),
        "excluded": [{"study_id": study.study_id, "reason": study.excluded} for study in cohort.excluded],
        "flow": describe_flow(cohort),
        "covariates": {by: tabulate_covariates(cohort, by) for by in ("label", "site")},
        "labels": labels,
        "unlabelled": len(cohort) - len(cohort.labelled),
        "class_names": list(cohort.class_names),
        "positive_class": cohort.positive_class,
        "sequences": _count(one.sequence for one in series),
        "missing": {str(kind): sum(study.find(kind) is None for study in cohort) for kind in FOUR_SEQUENCES},
        "frames": count_frames(cohort),
        "planes": _count(one.plane for one in series),
        "planes_by_sequence": {
            str(kind): _count(one.plane for one in series if one.sequence is kind) for kind in kinds
        },
        "spacings": _count_spacings(series),
        "sizes": _count(f"{one.rows} x {one.columns}" for one in series),
        "slices_per_series": {
            str(kind): _count(count_slices(one) for one in series if one.sequence is kind) for kind in kinds
        },
        "manufacturers": _count(one.manufacturer or "not stated" for one in series),
        "phases": _count(study.phase for study in cohort if study.phase),
        "recognised": _count(one.sequence_confidence or "unknown" for one in series),
        "privacy": survey_identifying_tags(series),
        "burned_in": sum(one.burned_in for one in series),
        "unreadable": [{"path": fault.path, "reason": fault.reason} for fault in cohort.faults],
        "layout": cohort.layout,
        "notes": list(cohort.notes),
        "synthetic": cohort.synthetic,
        "digest": cohort.digest,
        "root": str(cohort.root),
    }


def count_blank_slices(cohort: Cohort, *, jobs: int | None = None, progress: Progress = silent) -> list[BlankCount]:
    """Read every volume of a cohort and count its blank slices, in parallel; loose images are left out.

    Parameters
    ----------
    cohort
        The cohort.
    jobs
        Processes; by default as many as this installation has threads.
    progress
        Called once per series.
    """
    volumes = [series for series in cohort.series if series.kind != "picture"]
    results = run_tasks(_count_blank, [(series,) for series in volumes], jobs=jobs or load_settings().threads)
    counts: list[BlankCount] = []
    for found in results:
        counts.append(found)
        progress(len(counts), len(volumes), f"{found.study_id} {found.sequence}")
    return counts


def _count_blank(series: Series) -> BlankCount:
    from core.data.volume import read_volume
    from core.data.voxels import find_blank_slices

    slices, blank, fault = 0, 0, ""
    try:
        volume, _ = read_volume(series)
        flags = find_blank_slices(volume.voxels)
        slices, blank = len(flags), int(flags.sum())
    except DataError as error:
        fault = str(error)
    return BlankCount(
        study_id=series.study_id,
        sequence=series.sequence,
        series_uid=series.series_uid,
        slices=slices,
        blank=blank,
        fault=fault,
    )


def _count(values: Iterable[str] | Iterable[int]) -> dict[str, int]:
    """Count values by their text, in ascending order of the values."""
    counts: Counter[Any] = Counter(values)
    return {str(value): counts[value] for value in sorted(counts)}


def _count_spacings(series: Iterable[Series]) -> list[dict[str, Any]]:
    counts = Counter(
        (str(one.sequence), *(round(value, 2) for value in one.spacing_mm)) for one in series if one.spacing_mm
    )
    return [
        {"sequence": sequence, "slices_mm": slices, "rows_mm": rows, "columns_mm": columns, "series": counts[key]}
        for key in sorted(counts)
        for sequence, slices, rows, columns in [key]
    ]
