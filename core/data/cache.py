"""Prepared series on disk, one folder each, memory-mapped, written atomically."""

from __future__ import annotations

from core.config import PrepConfig
from core.data.prepare import PreparedSeries
from core.data.study import Series
from core.settings import Settings

__all__ = ["load_prepared"]


def load_prepared(series: Series, prep: PrepConfig, settings: Settings) -> PreparedSeries:
    """Return the prepared series, from the cache where it is there and its source files are unchanged."""
    raise NotImplementedError
