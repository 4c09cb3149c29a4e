"""The p-value of a permutation test, and of several tests together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.evaluation.metrics import Floats


def permutation_p(observed: float, null: Floats) -> float:
    """Return (1 + b) / (1 + N): b of the N shuffles came out at least as well (Phipson and Smyth 2010)."""
    # Figures that are equal but for rounding count as equal.
    return float((1 + np.sum(np.asarray(null) >= observed - 1e-12)) / (1 + len(null)))


def adjust_holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values adjusted for their number, each at most 1, by the name of the test.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6 (1979), 65-70.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[name]))
        adjusted[name] = largest
    return adjusted
