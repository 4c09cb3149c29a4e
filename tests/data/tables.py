"""Slice tables made by rule, without files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.dataset.slice_table import SliceTable

CLASSES = ("unmethylated", "methylated")


def make_table(
    labels: Mapping[str, int],
    *,
    slices: int = 3,
    persons: Mapping[str, str] | None = None,
    phases: Mapping[str, str | Sequence[str]] | None = None,
    size_px: int = 4,
    class_names: tuple[str, ...] = CLASSES,
    seed: int = 0,
) -> SliceTable:
    """One FLAIR series per study with `slices` random images.

    ``phases`` gives a study's phase, or one phase per slice.
    """
    rows = []
    for array, study_id in enumerate(labels):
        given = (phases or {}).get(study_id, "")
        for offset in range(slices):
            rows.append(
                {
                    "key": f"{study_id}|FLAIR|0|{offset}",
                    "study_id": study_id,
                    "person": (persons or {}).get(study_id, study_id),
                    "label": labels[study_id],
                    "sequence": "FLAIR",
                    "plane": "unknown",
                    "slice_index": offset,
                    "position_mm": 3.0 * offset,
                    "file": f"Image-{offset}.dcm",
                    "phase": given if isinstance(given, str) else given[offset],
                    "array": array,
                    "offset": offset,
                }
            )
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), slices, size_px, size_px), np.uint8)
    return SliceTable(rows=pd.DataFrame(rows), arrays=tuple(pixels), class_names=class_names, positive_class=1)


def alternating(count: int, classes: int = 2) -> dict[str, int]:
    """Study ids 00000, 00001, ... with labels 0, 1, 0, 1, ..."""
    return {f"{number:05}": number % classes for number in range(count)}
