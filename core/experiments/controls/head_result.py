"""The result of a linear head, and the features that it is fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from core.evaluation.figure import Figure
from core.evaluation.metrics import Floats
from core.stored_arrays import StoredArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadResult:
    """How well a linear head does on patients that it was not fitted to, and how well with shuffled labels."""

    auroc: Figure
    null: Annotated[NDArray[np.float64], StoredArray()]
    """(permutations,): the same with labels shuffled by patient."""
    p_value: float
    """(1 + permutations at least as good) / (1 + permutations)."""
    within: str = ""
    """Among whom labels were shuffled, such as "within 3 sites"."""


def mean_by_patient(features: NDArray[np.floating], member: NDArray[np.intp]) -> Floats:
    """Average the rows of each patient: (rows, features) and numbers 0.. of shape (rows,) -> (patients, features)."""
    counts = np.bincount(member)
    sums = np.zeros((len(counts), features.shape[1]))
    np.add.at(sums, member, features)
    return sums / counts[:, None]
