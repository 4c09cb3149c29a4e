"""Whether the voxels of a volume are numbers of labels, from their values and from how these change between neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FEW_LABELS = 8
"""Whole numbers, 0 among them: so few values are labels, whatever their neighbours; a scan has hundreds."""
LABEL_CHANGES = 0.25
"""Share of neighbours of different value: atlases of 33 to 725 labels have 0.02 to 0.18, scans of 32 grey levels and more
0.45 and more."""
LABEL_SMALL_CHANGES = 0.55
"""Share of these changes that lead to the next value. In atlases, 0.01 to 0.37: neighbours have any number. In scans of so few
grey levels that their neighbours are mostly equal (16 and fewer), 0.75 and more."""
SCAN_CHANGES = 0.6
"""Share of neighbours of different value above which a volume is no map of labels, once :data:`ENOUGH_NEIGHBOURS` were seen."""
ENOUGH_NEIGHBOURS = 5_000
ENOUGH_LABEL_CHANGES = 100_000
"""Neighbours, and changes among them, after which what follows would not alter the answer."""


@dataclass(slots=True)
class LabelValues:
    """What is known of a volume's values, which are added in the order in which they are stored."""

    values: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """All different ones, ascending."""
    neighbours: int = 0
    """Pairs beside each other that hold no background."""
    changes: list[NDArray[np.float64]] = field(default_factory=list)
    """Those of different value, (2, n) each."""
    change_count: int = 0
    background: tuple[float, ...] = (0.0,)

    def add(self, values: NDArray[np.float64]) -> None:
        """Count the next voxels, (n,); the first one of all counts as background, as 0 does."""
        if not len(self.values):
            self.background = (0.0, float(values[0]))
        self.values = np.union1d(self.values, values)
        inside = ~np.isin(values, self.background)
        pairs = np.stack([values[:-1], values[1:]])[:, inside[:-1] & inside[1:]]
        changed = pairs[:, pairs[0] != pairs[1]]
        self.neighbours += pairs.shape[1]
        self.change_count += changed.shape[1]
        self.changes.append(changed)

    @property
    def is_scan(self) -> bool:
        """Whether they are no labels, whatever follows: negative or broken numbers, or too many changes."""
        if self.values[0] < 0 or (self.values != self.values.round()).any():
            return True
        seen = len(self.values) > FEW_LABELS and self.neighbours >= ENOUGH_NEIGHBOURS
        return seen and self.change_count > SCAN_CHANGES * self.neighbours

    @property
    def is_decided(self) -> bool:
        """Whether what follows would not alter the answer."""
        return self.is_scan or (len(self.values) > FEW_LABELS and self.change_count >= ENOUGH_LABEL_CHANGES)

    @property
    def is_labels(self) -> bool:
        """Whether they are labels, as far as they are known."""
        if self.is_scan or len(self.values) < 2 or self.values[0] != 0:
            return False
        if len(self.values) <= FEW_LABELS:
            return True
        if not self.change_count or self.change_count > LABEL_CHANGES * self.neighbours:
            return False
        ranks = np.searchsorted(self.values, np.concatenate(self.changes, axis=1))
        return float((np.abs(ranks[0] - ranks[1]) == 1).mean()) <= LABEL_SMALL_CHANGES
