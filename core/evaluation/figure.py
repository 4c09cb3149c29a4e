"""A figure: a value with its interval and its n, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of an evaluation."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """Patients, or slices."""
    reason: str = ""
    """Why there is no value (one class only), or no interval."""
    method: str = ""
    """How the interval was made: "DeLong on the logit scale, continuity-corrected", "Wilson", ..."""

    def to_dict(self) -> dict[str, object]:
        """As in ``evaluate --json``; empty texts are left out."""
        content: dict[str, object] = {"value": self.value, "low": self.low, "high": self.high, "n": self.n}
        return content | {key: text for key, text in (("reason", self.reason), ("method", self.method)) if text}


ESTIMANDS = {
    "checkpoint": "The figures are of this checkpoint, on further patients like these; not of the procedure trained anew.",
    "folds": "The figures are of these networks, averaged, on further patients like these; not of the procedure trained anew.",
    "trainings": "The figures are of the procedure, over trainings of this cohort; their patients overlap.",
}
"""What a figure estimates, as it stands beside it: by what was judged."""
