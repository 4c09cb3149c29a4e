"""All prepared slices of a cohort as one table over memory-mapped arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.cache import fill_cache, load_prepared, open_prepared, prune_contents
from core.data.prepare import PreparedSeries
from core.data.study import Cohort, Fault, Series, Study
from core.errors import DataError, EmptyCohortError
from core.mri import MRSequence
from core.parallel import run_tasks
from core.progress import Progress, silent
from core.settings import Settings

__all__ = ["SliceTable", "build_table"]

INLINE = 8
"""Up to so many series are prepared in this process: starting others would take longer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceTable:
    """Every picture of a cohort.

    ``rows`` has one row per picture: ``key`` (study|sequence|series number|slice index, unique and stable),
    ``study_id``, ``person``, ``label`` (int, -1 unlabelled), ``sequence``, ``plane``, ``slice_index``, ``position_mm``,
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
    _allow_open_files(len(wanted))
    pieces, faults = _prepare([series for _, series, _ in wanted], prep, settings, jobs or settings.threads, progress)
    usable = [place for place, piece in zip(wanted, pieces, strict=True) if piece is not None]
    prepared = [piece for piece in pieces if piece is not None]
    if not prepared:
        first = faults[min(faults)]
        raise EmptyCohortError(
            f"None of the {len(wanted)} series in {cohort.root} can be used; the first: {first.path}: {first.reason}"
        )
    parts = [_columns(*place, prepared[number], number) for number, place in enumerate(usable)]
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
        "plane": str(series.plane),
        "slice_index": prepared.slice_index,
        "position_mm": prepared.position_mm,
        "file": list(prepared.files),
        "phase": study.phase or "",
        "array": array,
        "offset": np.arange(len(prepared.pixels)),
    }


def _prepare(
    wanted: list[Series], prep: PrepConfig, settings: Settings, jobs: int, progress: Progress
) -> tuple[list[PreparedSeries | None], dict[int, Fault]]:
    """Open what the cache holds and prepare what it lacks; each series is found, or has a fault at its position."""
    found = [_open(series, prep, settings) for series in wanted]
    missing = [position for position, piece in enumerate(found) if piece is None]
    done = len(wanted) - len(missing)
    progress(done, len(wanted), "from the cache" if done else "")
    faults: dict[int, Fault] = {}
    tasks = [(position, wanted[position], prep, settings) for position in missing]
    for position, fault in run_tasks(fill_cache, tasks, jobs=1 if len(missing) <= INLINE else jobs, ordered=False):
        done += 1
        progress(done, len(wanted), f"{wanted[position].study_id} {wanted[position].sequence}")
        if fault is None:
            # The worker wrote the pictures to the cache: they are opened here, not sent from process to process.
            found[position] = load_prepared(wanted[position], prep, settings)
        else:
            faults[position] = fault
    if missing:
        prune_contents(settings)
    return found, faults


def _open(series: Series, prep: PrepConfig, settings: Settings) -> PreparedSeries | None:
    try:
        return open_prepared(series, prep, settings)
    except DataError:  # a file is gone: told as this series' fault when it is prepared
        return None


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
