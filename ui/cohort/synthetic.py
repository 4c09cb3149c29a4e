"""Making a synthetic cohort from a page, in turn with other visitors."""

from __future__ import annotations

from pathlib import Path

from core.jobs.queue import make_room
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.runs.records import DataSource
from ui.widgets.loaders import in_turn
from ui.widgets.progress import ProgressBar
from ui.widgets.state import current_settings


def make_synthetic(name: str, config: PhantomConfig) -> DataSource:
    """Make a cohort in the cache, or take up the one of that name; raises what :func:`core.phantom.cohort.make_phantom` does."""
    source = DataSource(root=str(current_settings().cache / "synthetic" / name))
    make_room(current_settings(), source)
    with in_turn(), ProgressBar("Making brains", "studies") as bar:
        make_phantom(Path(source.root), config, progress=bar)
    return source
