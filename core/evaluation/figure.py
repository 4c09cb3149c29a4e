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
