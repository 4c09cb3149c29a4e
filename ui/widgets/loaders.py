"""What pages show, read once: cohorts and models for everybody, what comes from a person's scan for his session."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.admission import admitted
from core.data.study import Cohort, Fault, Series
from core.data.summary import BlankCount, count_blank_slices, count_slices
from core.errors import MGMTLabError
from core.inference.runtimes import Runtime
from core.models.card import CheckpointCard, read_card
from core.mri import MRSequence
from core.runs.cohort import open_cohort
from core.runs.records import DataSource
from ui.widgets.page import began_at
from ui.widgets.progress import ProgressBar
from ui.widgets.slices import SliceStack
from ui.widgets.state import chosen_cohort, current_settings

if TYPE_CHECKING:
    from core.inference.predict import Predictor


Cached = TypeVar("Cached", bound=Callable[..., Any])

BY_COHORT: dict[str | type[Any], Callable[[Any], Any]] = {Cohort: lambda cohort: (cohort.digest, str(cohort.root))}
"""How Streamlit's caches tell one cohort from another: ``hash_funcs=BY_COHORT``."""


def sample_folder() -> Path:
    """Where the sample study lies: all that is public of what can be predicted."""
    return current_settings().cache / "sample"


def cache_by_scan(*, own: int, shared: int, spinner: str | bool = False) -> Callable[[Cached], Cached]:
    """Cache what comes from a scan for its session alone; what comes from the shipped sample, once for everybody.

    The first argument of the decorated function is a tuple of texts, with a path of the scan among them; `own` and `shared`
    are how many results are kept.
    """

    def decorate(function: Cached) -> Cached:
        for_one = st.cache_resource(scope="session", max_entries=own, show_spinner=spinner)(function)
        for_all = st.cache_resource(max_entries=shared, show_spinner=spinner)(function)

        @wraps(function)
        def call(key: tuple[str, ...], *arguments: Any) -> Any:
            public = str(sample_folder()) + os.sep
            return (for_all if any(part.startswith(public) for part in key) else for_one)(key, *arguments)

        return call  # type: ignore[return-value]

    return decorate


@contextmanager
def in_turn() -> Iterator[None]:
    """Wait for one's turn at heavy work, and show the place in line meanwhile."""
    place = st.empty() if get_script_run_ctx() else None

    def tell(number: int) -> None:
        if place is not None:
            place.caption(f":material/hourglass_top: {number} in line: scans of other visitors are worked on first.")

    with admitted(current_settings(), tell, began_at()):
        if place is not None:
            place.empty()
        yield


@st.cache_resource(max_entries=4, show_spinner=False)
def load_cohort(source: DataSource) -> Cohort:
    """Scan a cohort's headers, with a progress bar; once, until :func:`rescan`."""
    with ProgressBar("Reading headers", "files") as bar:
        return open_cohort(source, bar, current_settings())


def rescan() -> None:
    """Forget every scanned cohort, so that a changed folder is read again."""
    load_cohort.clear()


def load_chosen_cohort() -> Cohort | None:
    """The current cohort, or None where none is chosen.

    Raises
    ------
    MGMTLabError
        Its folder is gone or unreadable.
    """
    source = chosen_cohort()
    if source is not None and current_settings().hosted:  # what was looked at last is evicted last
        with suppress(OSError):
            os.utime(source.root)
    return None if source is None else load_cohort(source)


@st.cache_resource(max_entries=2, show_spinner="Loading the checkpoint …")
def _load_predictor(path: str, changed: float, runtime: Runtime) -> Predictor:
    from core.inference.ensemble import open_predictor

    return open_predictor(Path(path), runtime=runtime, threads=current_settings().threads)


def load_predictor(path: Path, runtime: Runtime = "auto") -> Predictor:
    """A checkpoint or an ensemble ready to answer; sessions share it, and it guards itself by a lock."""
    return _load_predictor(str(path), _changed_at(path), runtime)


@st.cache_data(max_entries=64, show_spinner=False)
def _load_card(path: str, changed: float) -> CheckpointCard:
    return read_card(Path(path))


def load_card(path: Path) -> CheckpointCard:
    """What a checkpoint says of itself; raises CheckpointError."""
    return _load_card(str(path), _changed_at(path))


@cache_by_scan(own=8, shared=8)
def _load_stack(files: tuple[str, ...], sequence: str, _series: Series) -> tuple[SliceStack, tuple[Fault, ...]]:
    from ui.widgets.stacks import read_stack  # the readers of pixels: not before a series is shown

    with in_turn():
        return read_stack(_series)


def load_stack(series: Series) -> tuple[SliceStack, tuple[Fault, ...]]:
    """Read a series for the viewer, blank slices included, and name the files that could not be read.

    Kept for this session only, and let go of with it; that of the sample is shared.

    Raises
    ------
    MGMTLabError
        Nothing of the series can be shown.
    """
    return _load_stack(tuple(str(file) for file in series.files), str(series.sequence), series)


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=BY_COHORT)
def count_blanks(cohort: Cohort) -> list[BlankCount]:
    """Read every series and count its blank slices, with a progress bar; once per cohort."""
    with in_turn(), ProgressBar("Reading pixels", "series") as bar:
        return count_blank_slices(cohort, progress=bar)


@st.cache_resource(max_entries=4, show_spinner="Counting slices …", hash_funcs=BY_COHORT)
def count_all_slices(cohort: Cohort) -> list[tuple[Series, int]]:
    """How many slices each series of a cohort has, blank ones included, from the headers."""
    return [(series, count_slices(series)) for series in cohort.series]


def load_stacks(series: tuple[Series, ...]) -> tuple[list[SliceStack], list[Fault]]:
    """Read several series for the viewer; one that cannot be read at all becomes a fault and the rest go on."""
    stacks: list[SliceStack] = []
    faults: list[Fault] = []
    for one in sorted(series, key=lambda item: list(MRSequence).index(item.sequence)):
        try:
            stack, missing = load_stack(one)
        except MGMTLabError as error:
            faults.append(Fault(path=f"{one.study_id}/{one.sequence}", reason=str(error)))
            continue
        stacks.append(stack)
        faults.extend(missing)
    return stacks, faults


def _changed_at(path: Path) -> float:
    return path.stat().st_mtime if path.is_file() else 0.0
