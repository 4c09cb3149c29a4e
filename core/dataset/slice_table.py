"""All examples of a cohort as one table over memory-mapped arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.study import Fault


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceTable:
    """Every example of a cohort: a slice, a volume, or the same slice of several sequences (``PrepConfig.form``).

    ``rows`` has one row per example: ``key`` (study|sequence|series number|slice index, unique and stable),
    ``study_id``, ``person``, ``label`` (int, -1 unlabelled), ``sequence`` (those that it combines joined by "+"),
    ``plane``, ``slice_index``, ``position_mm``, ``file``, ``phase`` ("" where none), ``array`` (index into ``arrays``),
    ``offset`` (example within it).
    """

    rows: pd.DataFrame
    arrays: tuple[NDArray[np.uint8], ...]
    class_names: tuple[str, ...]
    positive_class: int
    faults: tuple[Fault, ...] = ()
    blank_counts: tuple[int, ...] = ()
    """Blank slices of each array's series."""
    processing: str = ""
    """How its series were processed from raw (``Series.processing``); empty where one of them was not, or in several ways."""
    content_digest: str = ""
    """Twelve hex digits over labels and every byte of the files that were prepared: it follows what they show, where
    ``Cohort.digest`` follows what there is."""

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Gather examples by row number: (n, *shape of one), in the order of `indices` (:mod:`core.data.prepare.examples`)."""
        arrays = self.rows["array"].to_numpy()[indices]
        offsets = self.rows["offset"].to_numpy()[indices]
        gathered = np.empty((len(indices), *self.arrays[0].shape[1:]), np.uint8)
        for place, (array, offset) in enumerate(zip(arrays, offsets, strict=True)):
            gathered[place] = self.arrays[array][offset]
        return gathered
