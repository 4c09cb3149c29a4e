"""Prepare a cohort and list its examples (:class:`core.dataset.slice_table.SliceTable`)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from core.config import PrepConfig
from core.data.index.folder_stamp import digest_of
from core.data.prepare.cache import fill_cache, load_prepared, open_prepared, prune_contents
from core.data.prepare.common_grid import image_plane
from core.data.prepare.examples import PreparedSeries
from core.data.select import Source, identify_series, number_series, select_sources
from core.data.study import Cohort, Fault, Study
from core.dataset.slice_table import SliceTable
from core.errors import DataError, EmptyCohortError
from core.parallel import run_tasks
from core.progress import Progress, silent
from core.settings import Settings

if sys.platform != "win32":
    import resource

INLINE = 8
"""Up to so many series are prepared in this process: starting others would take longer."""


def build_table(
    cohort: Cohort, prep: PrepConfig, settings: Settings, *, jobs: int | None = None, progress: Progress = silent
) -> SliceTable:
    """Prepare every series of a cohort (through the cache, in parallel per series) and list its examples.

    Which series are taken, :func:`core.data.select.select_sources` says. One that fails becomes a fault and the rest go on.
    The rows' order (study, sequence, series, slice) does not depend on the order of the cohort.

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
            f"{cohort.root} holds no series of {', '.join(prep.sequences)} (found: {found}). Choose others with "
            "--set sequences=..., say what the series are with --sequence or --assign, or name another folder."
        )
    _allow_open_files(len(wanted))
    pieces, faults = _prepare([source for _, source, _ in wanted], prep, settings, jobs or settings.threads, progress)
    usable = [place for place, piece in zip(wanted, pieces, strict=True) if piece is not None]
    prepared = [piece for piece in pieces if piece is not None]
    if not prepared:
        first = faults[min(faults)]
        raise EmptyCohortError(
            f"None of the {len(wanted)} series in {cohort.root} can be used; the first: {first.path}: {first.reason}"
        )
    parts = [_columns(*place, prepared[number], number, prep) for number, place in enumerate(usable)]
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
        processing=_name_processing(source for _, source, _ in usable),
        content_digest=digest_of(
            sorted(
                f"{study.study_id}|{study.label}|{number}|{piece.content}"
                for (study, _, number), piece in zip(usable, prepared, strict=True)
            )
        )[:12],
    )


def _name_processing(sources: Iterable[Source]) -> str:
    """Return how all of some series were processed from raw; empty where they were not all processed alike."""
    found = {series.processing for source in sources for series in source}
    return found.pop() if len(found) == 1 else ""


def _select(cohort: Cohort, prep: PrepConfig) -> list[tuple[Study, Source, int]]:
    """List what to prepare in canonical order, each source with its series' number among the study's of its sequence."""
    chosen: list[tuple[Study, Source, int]] = []
    for study in sorted(cohort, key=lambda study: study.study_id):
        numbers = number_series(study.series)
        for source in select_sources(study, prep):
            chosen.append((study, source, 0 if prep.grid_mm else numbers[identify_series(source[0])]))
    return chosen


def _columns(
    study: Study, source: Source, number: int, prepared: PreparedSeries, array: int, prep: PrepConfig
) -> dict[str, Any]:
    """Describe a source's examples as table columns."""
    sequences = prepared.sequences or (str(source[0].sequence),) * len(prepared.pixels)
    return {
        "key": [
            f"{study.study_id}|{sequence}|{number}|{index}"
            for sequence, index in zip(sequences, prepared.slice_index, strict=True)
        ],
        "study_id": study.study_id,
        "person": study.person,
        "label": -1 if study.label is None else study.label,
        "sequence": list(sequences),
        "plane": str(image_plane(source, prep)),
        "slice_index": prepared.slice_index,
        "position_mm": prepared.position_mm,
        "file": list(prepared.files),
        "phase": study.phase or "",
        "array": array,
        "offset": np.arange(len(prepared.pixels)),
    }


def _prepare(
    wanted: list[Source], prep: PrepConfig, settings: Settings, jobs: int, progress: Progress
) -> tuple[list[PreparedSeries | None], dict[int, Fault]]:
    """Open cached sources and prepare the others; each position has a prepared source or a fault."""
    found = [_open(source, prep, settings) for source in wanted]
    missing = [position for position, piece in enumerate(found) if piece is None]
    done = len(wanted) - len(missing)
    progress(done, len(wanted), "from the cache" if done else "")
    faults: dict[int, Fault] = {}
    tasks = [(position, wanted[position], prep, settings) for position in missing]
    for position, fault in run_tasks(fill_cache, tasks, jobs=1 if len(missing) <= INLINE else jobs, ordered=False):
        done += 1
        progress(done, len(wanted), f"{wanted[position][0].study_id} {_name(wanted[position])}")
        if fault is None:
            # The worker wrote the images to the cache: they are opened here, not sent from process to process.
            found[position] = load_prepared(wanted[position], prep, settings)
        else:
            faults[position] = fault
    if missing:
        prune_contents(settings)
    return found, faults


def _name(source: Source) -> str:
    return " and ".join(str(series.sequence) for series in source)


def _open(source: Source, prep: PrepConfig, settings: Settings) -> PreparedSeries | None:
    try:
        return open_prepared(source, prep, settings)
    except DataError:  # a file is gone: becomes this series' fault when it is prepared
        return None


def _allow_open_files(count: int) -> None:
    """Raise this process's soft limit: each memory-mapped array holds a file open, and 1024 is a usual limit."""
    if sys.platform == "win32":  # no such limit there
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + 512
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
        )
