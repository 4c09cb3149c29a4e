"""All prepared slices of a cohort as one table over memory-mapped arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.cache import load_prepared, open_prepared
from core.data.prepare import PreparedSeries
from core.data.study import Cohort, Fault, Series, Study
from core.errors import DataError, EmptyCohortError
from core.mri import MRSequence
from core.progress import Progress, silent
from core.settings import Settings

__all__ = ["SliceTable", "build_table"]

INLINE = 8
"""Up to so many series are prepared in this process: starting others would take longer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceTable:
    """Every picture of a cohort.

    ``rows`` has one row per picture: ``key`` (study|sequence|series number|slice index, unique and stable),
    ``study_id``, ``person``, ``label`` (int, -1 unlabelled), ``sequence``, ``slice_index``, ``position_mm``,
    ``file``, ``phase`` ("" where none), ``array`` (index into ``arrays``), ``offset`` (picture within it).
    """

    rows: pd.DataFrame
    arrays: tuple[NDArray[np.uint8], ...]
    class_names: tuple[str, ...]
    positive_class: int
    faults: tuple[Fault, ...] = ()
    blank_counts: tuple[int, ...] = ()
    """Blank slices of each array's series."""

    def __len__(self) -> int:
        return len(self.rows)

    def pictures(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Gather pictures by row number: (n, size, size), in the order asked for."""
        arrays = self.rows["array"].to_numpy()[indices]
        offsets = self.rows["offset"].to_numpy()[indices]
        gathered = np.empty((len(indices), *self.arrays[0].shape[1:]), np.uint8)
        for place, (array, offset) in enumerate(zip(arrays, offsets, strict=True)):
            gathered[place] = self.arrays[array][offset]
        return gathered


def build_table(
    cohort: Cohort, prep: PrepConfig, settings: Settings, *, jobs: int | None = None, progress: Progress = silent
) -> SliceTable:
    """Prepare every series of a cohort (through the cache, in parallel per series) and list its pictures.

    Only series of ``prep.sequences``, and those whose sequence is unknown, are taken. A series that fails
    becomes a fault and the rest go on. The rows' order (study, sequence, series, slice) does not depend on the
    order of the cohort.

    Parameters
    ----------
    cohort, prep, settings
        What, how, and where the cache lies.
    jobs
        Processes to prepare with; ``settings.threads`` by default, 1 stays in this process.
    progress
        Called per series; may raise to cancel, and what was prepared by then stays in the cache.

    Raises
    ------
    EmptyCohortError
        No series of these sequences, or none that can be used.
    """
    wanted = _select(cohort, prep)
    if not wanted:
        found = ", ".join(sorted({str(series.sequence) for series in cohort.series})) or "no series at all"
        raise EmptyCohortError(
            f"{cohort.root} holds no series of {', '.join(prep.sequences)} (found: {found}). "
            "Choose others with --set sequences=..., or name another folder."
        )
    faults = dict(_fill_cache([series for _, series, _ in wanted], prep, settings, jobs or settings.threads, progress))
    _allow_open_files(len(wanted))
    parts: list[dict[str, Any]] = []
    prepared: list[PreparedSeries] = []
    for position, (study, series, number) in enumerate(wanted):
        if position not in faults:
            parts.append(
                _columns(study, series, number, opened := load_prepared(series, prep, settings), len(prepared))
            )
            prepared.append(opened)
    if not prepared:
        raise EmptyCohortError(
            f"None of the {len(wanted)} series in {cohort.root} can be used; the first: {faults[0].path}: {faults[0].reason}"
        )
    return SliceTable(
        rows=pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True),
        arrays=tuple(piece.pixels for piece in prepared),
        class_names=cohort.class_names,
        positive_class=cohort.positive_class,
        faults=(
            *(fault for _, fault in sorted(faults.items())),
            *(fault for piece in prepared for fault in piece.faults),
        ),
        blank_counts=tuple(piece.blank_count for piece in prepared),
    )


def _select(cohort: Cohort, prep: PrepConfig) -> list[tuple[Study, Series, int]]:
    """List the series to use in canonical order, each with its number among the study's of its sequence."""
    allowed = {*prep.sequences, MRSequence.UNKNOWN}
    found = [(study, series) for study in cohort for series in study.series if series.sequence in allowed]
    found.sort(
        key=lambda pair: (pair[1].study_id, pair[1].sequence, pair[1].series_uid, [str(path) for path in pair[1].files])
    )
    numbers: dict[tuple[str, MRSequence], int] = {}
    numbered = []
    for study, series in found:
        number = numbers.get((series.study_id, series.sequence), 0)
        numbers[series.study_id, series.sequence] = number + 1
        numbered.append((study, series, number))
    return numbered


def _columns(study: Study, series: Series, number: int, prepared: PreparedSeries, array: int) -> dict[str, Any]:
    """Describe a series' pictures as table columns."""
    start = f"{study.study_id}|{series.sequence}|{number}|"
    return {
        "key": [f"{start}{index}" for index in prepared.slice_index],
        "study_id": study.study_id,
        "person": study.person,
        "label": -1 if study.label is None else study.label,
        "sequence": str(series.sequence),
        "slice_index": prepared.slice_index,
        "position_mm": prepared.position_mm,
        "file": list(prepared.files),
        "phase": study.phase or "",
        "array": array,
        "offset": np.arange(len(prepared.pixels)),
    }


def _fill_cache(
    wanted: list[Series], prep: PrepConfig, settings: Settings, jobs: int, progress: Progress
) -> Iterator[tuple[int, Fault]]:
    """Prepare what the cache lacks; yields the position and fault of each series that fails."""
    missing = []
    done = 0
    for position, series in enumerate(wanted):
        try:
            cached = open_prepared(series, prep, settings) is not None
        except DataError:
            cached = False  # a file is gone: told as this series' fault below
        if cached:
            done += 1
        else:
            missing.append(position)
    progress(done, len(wanted), "from the cache" if done else "")
    for position, fault in _prepare_all(missing, wanted, prep, settings, jobs):
        done += 1
        progress(done, len(wanted), f"{wanted[position].study_id} {wanted[position].sequence}")
        if fault is not None:
            yield position, fault


def _prepare_all(
    missing: list[int], wanted: list[Series], prep: PrepConfig, settings: Settings, jobs: int
) -> Iterable[tuple[int, Fault | None]]:
    if jobs == 1 or len(missing) <= INLINE:
        return (_prepare_one(position, wanted[position], prep, settings) for position in missing)
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", n_jobs=min(jobs, len(missing)), inner_max_num_threads=1):
        prepared: Iterable[tuple[int, Fault | None]] = Parallel(return_as="generator_unordered", batch_size=1)(
            delayed(_prepare_one)(position, wanted[position], prep, settings) for position in missing
        )
    return prepared


def _prepare_one(position: int, series: Series, prep: PrepConfig, settings: Settings) -> tuple[int, Fault | None]:
    try:
        load_prepared(series, prep, settings)
    except DataError as error:
        return position, Fault(path=f"{series.study_id}/{series.sequence}", reason=str(error))
    return position, None


def _allow_open_files(count: int) -> None:
    """Raise this process's soft limit: each memory-mapped array holds a file open, and 1024 is a usual limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + 512
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
        )
