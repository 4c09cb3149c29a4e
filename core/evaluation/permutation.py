"""The p-value of a permutation test."""

from __future__ import annotations

import numpy as np

from core.evaluation.metrics import Floats


def permutation_p(observed: float, null: Floats) -> float:
    """Return (1 + b) / (1 + N): b of the N shuffles came out at least as well (Phipson and Smyth 2010)."""
    # Figures that are equal but for rounding count as equal.
    return float((1 + np.sum(np.asarray(null) >= observed - 1e-12)) / (1 + len(null)))
