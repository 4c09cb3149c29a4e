"""How synthetic data say that they are synthetic: a mark in every file, and a file in the cohort's folder."""

from __future__ import annotations

from pathlib import Path

SYNTHETIC_MARK = "MGMT Lab synthetic phantom"
"""Value of :data:`SYNTHETIC_MARK_KEYWORD` in every synthetic DICOM file: it marks a single study, wherever it is moved."""
SYNTHETIC_MARK_KEYWORD = "ImageComments"
"""Image Comments (0020,4000)."""
SYNTHETIC_FILE = "synthetic.json"
"""Stands in a synthetic cohort's folder, and says that the cohort is complete: it is written last."""


def is_synthetic(root: Path) -> bool:
    """Whether a folder is a synthetic cohort, or the ``train`` folder of one."""
    return (root / SYNTHETIC_FILE).is_file() or (root.parent / SYNTHETIC_FILE).is_file()
