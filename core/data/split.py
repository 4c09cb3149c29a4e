"""Who is in training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.config import SplitConfig
from core.data.table import SliceTable

__all__ = ["PARTS", "Part", "Split", "make_split"]

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A partition of a cohort.

    ``train``, ``val`` and ``test`` hold person ids where ``unit`` is "patient" and slice keys where it is
    "slice" (leaky; it exists to reproduce what papers do).

    Raises
    ------
    SplitOverlapError
        A unit stands in two parts.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    unit: Literal["slice", "patient"]
    seed: int
    cohort_digest: str
    source: Literal["drawn", "folders"] = "drawn"

    @property
    def leaky(self) -> bool:
        """Whether one person's slices may stand on both sides."""
        return self.unit == "slice"

    @property
    def test_digest(self) -> str:
        """Twelve hex digits over the sorted test units: the key of the ledger of looks."""
        raise NotImplementedError

    def indices(self, table: SliceTable, part: Part) -> NDArray[np.int64]:
        """Row numbers of `table` that belong to a part, ascending; unlabelled rows belong to none."""
        raise NotImplementedError

    def to_json(self) -> str:
        """Write the split as JSON."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, text: str) -> Split:
        """Read a split back; raises SplitError where the text is damaged."""
        raise NotImplementedError


def make_split(table: SliceTable, config: SplitConfig, cohort_digest: str) -> Split:
    """Split by patient or by slice, stratified by label, independent of the order of the input."""
    raise NotImplementedError
