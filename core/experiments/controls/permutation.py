"""The permutation test of a training run: trained again and again with labels shuffled by patient.

Everything that chose anything is repeated: the split, the training, the choice of the best epoch. The figure is the AUROC
by patient of the best epoch on the validation patients. It is optimistic, because they chose the epoch; but each shuffle
is optimistic in the same way, so the comparison is fair, and the test patients are not evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from core.evaluation.figure import Figure
from core.evaluation.permutation import permutation_p
from core.figure_text import p_text

KIND = "permutation"
RERUNS = 19
"""Shuffles where nobody says how many: the fewest with which p can be 0.05."""


class PermutationParameters(BaseModel):
    """A permutation test has none: more shuffles add to those that are there."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class PermutationTest:
    """A run's figure among those of shuffled labels."""

    name: str
    observed: Figure
    null: tuple[float, ...]
    within: str
    """Among whom labels were shuffled, such as "within 3 sites"."""
    leaky: bool
    """The split is by slice: then shuffled labels do well too, and p says so."""

    @property
    def p_value(self) -> float:
        """(1 + shuffles at least as good) / (1 + shuffles)."""
        return permutation_p(self.observed.value or 0.0, list(self.null))  # type: ignore[arg-type]

    @property
    def sentence(self) -> str:
        """What was found, for a claim sheet."""
        observed = "none" if self.observed.value is None else f"{self.observed.value:.3f}"
        return (
            f"{p_text(self.p_value)}: AUROC by patient {observed} on validation patients (n = {self.observed.n}), among "
            f"{len(self.null)} trainings with labels shuffled by patient {self.within}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As ``permute --json`` prints it."""
        return {
            "kind": "reruns",
            "name": self.name,
            "observed": self.observed.to_dict(),
            "permutations": len(self.null),
            "p": self.p_value,
            "null": list(self.null),
            "within": self.within,
            "leaky": self.leaky,
            "sentence": self.sentence,
        }
