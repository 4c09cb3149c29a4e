"""Small scans of a synthetic head with a skull, and studies of them on the disk."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from core.data.index.series import scan_series
from core.data.raw.images import to_image
from core.data.study import Study
from core.data.volume import Volume
from core.mri import MRSequence
from core.phantom.anatomy import rotation_matrix
from core.phantom.whole_head import WholeHead, draw_whole_head
from core.settings import Settings

COARSE = (3.0, 2.0, 2.0)
"""Spacing of slices, rows and columns in millimetres."""


@lru_cache(maxsize=4)
def head(index: int = 0) -> WholeHead:
    """The same head every time."""
    return draw_whole_head(31, index)


def move(degrees: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """A turn about the three axes and a shift, (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrix(np.radians(degrees))
    matrix[:3, 3] = shift_mm
    return matrix


@lru_cache(maxsize=16)
def scan(sequence: MRSequence, *, moved: bool = False, index: int = 0) -> Volume:
    """One series of a head, moved by MOVE where it is asked for."""
    return head(index).acquire(sequence, MOVE if moved else np.eye(4), COARSE, np.random.default_rng(4))


MOVE = move((4, -5, 6), (6, -5, 4))


def write_study(
    folder: Path, study_id: str, volumes: dict[MRSequence, Volume], settings: Settings, label: int | None = None
) -> Study:
    """Write a series a sequence as NIfTI, and read the study's headers."""
    (folder / study_id).mkdir(parents=True)
    for sequence, volume in volumes.items():
        sitk.WriteImage(to_image(volume), str(folder / study_id / f"{sequence}.nii.gz"))
    found = scan_series(study_id, sorted((folder / study_id).iterdir()), folder, settings)
    return Study(study_id=study_id, person=study_id, label=label, series=found.series)
