"""The one way from a source's files to its examples, without the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.config import PrepConfig
from core.data.frames_of_reference import check_frames
from core.data.prepare.common_grid import lay_on_common_grid
from core.data.prepare.examples import PreparedSeries
from core.data.prepare.slices import prepare_images, prepare_volumes
from core.data.select import Source
from core.data.volume import read_volumes
from core.settings import Settings


def prepare_source(
    source: Source,
    prep: PrepConfig,
    settings: Settings | None = None,
    *,
    contents: Sequence[memoryview] | None = None,
) -> PreparedSeries:
    """Read and prepare one series of any kind in its own planes, or a study's series together on a common grid.

    On a common grid slices are chosen where all sequences show tissue, and one box is cut out of all. A series that
    cannot be used becomes a fault.

    Parameters
    ----------
    source, prep
        What, and how.
    settings
        The limits; this installation's by default.
    contents
        What the first series' files hold, in their order, where
        :func:`core.data.formats.series_reader.read_files` was called already.

    Raises
    ------
    DataError
        None of them can be read, or nothing in them can be used; FrameOfReferenceError where they may not be laid over
        each other.
    """
    check_frames(source, prep)
    if source[0].kind == "picture" and not prep.grid_mm:
        return prepare_images(source[0], prep, settings)
    volumes, faults = read_volumes(source, settings, contents)
    laid = lay_on_common_grid(volumes, prep, settings) if prep.grid_mm else list(volumes.values())
    return replace(prepare_volumes(laid, prep), faults=faults)
