"""A figure: a value with its interval and its n, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

ALL_EQUAL = "withheld: all scores are equal, so that nobody is ranked"


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


_AGAIN = "not of the procedure trained anew."
ESTIMANDS = {
    "checkpoint": f"The figures are of this checkpoint, on further patients like these; {_AGAIN}",
    "folds": f"The figures are of these networks, averaged, on further patients like these; {_AGAIN}",
    "trainings": "The figures are of the procedure, over trainings of this cohort; their patients overlap.",
    "networks": f"Each figure is of one network, trained once, on further patients like these; {_AGAIN}",
    "shuffles": "The figure with true labels is of one network; p is of the procedure, which each shuffle repeats whole.",
    "measured": "The figures are of models fitted to these patients alone, each judged without its own; of no network.",
    "predictions": f"The figures are of these predictions, on further patients like these; {_AGAIN}",
    "counted": "The figures count what these files hold; they are of no network.",
    "study": f"Figures of folds are of their networks, averaged; others of the one checkpoint named; {_AGAIN}",
}
"""What a figure estimates, as it stands beside it: by what was judged."""
ESTIMAND_OF = {
    **dict.fromkeys(
        ("evaluate", "calibration", "thresholds", "external", "robustness", "maps", "predict", "claim"), "checkpoint"
    ),
    **dict.fromkeys(("cross_validation", "leave_one_cohort_out", "positive_control"), "folds"),
    **dict.fromkeys(("twin", "twin_pair", "specification", "search", "compare", "runs"), "networks"),
    **dict.fromkeys(("leak_meter", "shortcuts", "frozen_permutation", "baselines"), "measured"),
    "split_audit": "counted",
    "optimism": "trainings",
    "permutation": "shuffles",
    "referee": "predictions",
    "study": "study",
}
"""What each kind of question, and each command that prints a figure, estimates."""


def estimand_of(what: str) -> str:
    """Return what the figures of a kind of question, or of a command, estimate: a sentence that stands beside them."""
    return ESTIMANDS[ESTIMAND_OF[what]]
