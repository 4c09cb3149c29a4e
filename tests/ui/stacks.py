"""Series for the viewer, made by hand."""

from __future__ import annotations

import numpy as np

from core.mri import MRSequence, Plane
from ui.widgets.slices import SliceStack, find_box


def make_stack(
    slices: int = 10, rows: int = 40, columns: int = 20, *, start: float = 0.0, step: float = 5.0, **changes: object
) -> SliceStack:
    """One series of a bright block."""
    pixels = np.full((slices, rows, columns), 200, np.uint8)
    content: dict[str, object] = {
        "sequence": MRSequence.FLAIR,
        "plane": Plane.AXIAL,
        "pixels": pixels,
        "positions": start + step * np.arange(slices, dtype=np.float64),
        "in_mm": True,
        "spacing_mm": (1.0, 2.0),
        "blank": np.zeros(slices, np.bool_),
        "box": find_box(pixels),
    }
    return SliceStack(**(content | changes))  # type: ignore[arg-type]
