"""The one place that chooses how a source is prepared: on a common grid, as loose images, by counts, or as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.config import PrepConfig
from core.data.frames_of_reference import check_frames
from core.data.prepare.common_grid import prepare_study
from core.data.prepare.examples import PreparedSeries, build_examples
from core.data.prepare.fast_path import prepare_by_counts
from core.data.prepare.slices import prepare_images, prepare_volume
from core.data.select import Source
from core.data.study import Series
from core.data.volume import read_volume
from core.settings import Settings, load_settings


def prepare_source(
    source: Source,
    prep: PrepConfig,
    settings: Settings | None = None,
    *,
    contents: Sequence[memoryview] | None = None,
) -> PreparedSeries:
    """Prepare a series, or a study's series together, without the cache; parameters as of :func:`prepare_series`.

    Raises
    ------
    DataError
        They cannot be prepared; FrameOfReferenceError where they may not be laid over each other.
    """
    check_frames(source, prep)
    if prep.grid_mm:
        return prepare_study(source, prep, settings)
    return prepare_series(source[0], prep, settings, contents=contents)


def prepare_series(
    series: Series, prep: PrepConfig, settings: Settings | None = None, *, contents: Sequence[memoryview] | None = None
) -> PreparedSeries:
    """Read and prepare one series of any kind in its own planes, without the cache.

    Parameters
    ----------
    series, prep
        What, and how; ``prep.grid_mm`` is 0 (:func:`core.data.prepare.common_grid.prepare_study` is for a common grid).
    settings
        The limits; this installation's by default.
    contents
        What the series' files hold, in their order, where :func:`core.data.prepare.fast_path.read_files` was called already.

    Raises
    ------
    DataError
        The series cannot be read, or nothing in it can be used.
    """
    if series.kind == "picture":
        return prepare_images(series, prep, settings)
    if prep.form == "volume" and prep.channels == "grey":  # its layers are prepared as single slices are
        slices = prepare_series(series, prep.model_copy(update={"form": "slice"}), settings, contents=contents)
        return build_examples([slices.pixels], prep, slices, [])
    prepared = prepare_by_counts(series, prep, settings or load_settings(), contents)
    if prepared is not None:
        return prepared
    volume, faults = read_volume(series, settings)
    return replace(prepare_volume(volume, prep), faults=faults)
