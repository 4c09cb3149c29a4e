"""All prepared slices of a cohort as one table over memory-mapped arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.study import Cohort, Fault
from core.progress import Progress, silent
from core.settings import Settings

__all__ = ["SliceTable", "build_table"]


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
        """Gather pictures by row number: (n, size, size)."""
        raise NotImplementedError


def build_table(
    cohort: Cohort, prep: PrepConfig, settings: Settings, *, jobs: int | None = None, progress: Progress = silent
) -> SliceTable:
    """Prepare every series of a cohort (through the cache, in parallel per series) and list its pictures."""
    raise NotImplementedError
