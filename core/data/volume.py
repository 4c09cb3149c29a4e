"""A volume: voxels with a place in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.study import Fault, Series
from core.mri import MRSequence, Plane

__all__ = ["Volume", "find_blank_slices", "read_volume"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """One series as voxels, in canonical display orientation.

    Slices ascend along +L (sagittal), +P (coronal) or +S (axial). In the plane, rows and columns are flipped
    and transposed, never interpolated, to the radiological view: axial rows run to posterior and columns to
    the patient's left; coronal rows to inferior and columns to left; sagittal rows to inferior and columns to
    posterior.
    """

    array: NDArray[np.float32]
    """(slices, rows, columns), rescaled by slope and intercept, MONOCHROME1 inverted."""
    affine: NDArray[np.float64]
    """(4, 4): (slice, row, column, 1) indices to LPS millimetres."""
    sequence: MRSequence
    plane: Plane
    files: tuple[str, ...]
    """Name of the source file of each slice."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, rows and columns, in millimetres."""
        raise NotImplementedError

    @property
    def positions_mm(self) -> NDArray[np.float64]:
        """(slices,): each slice's coordinate along its plane's canonical axis (L, P or S), in millimetres."""
        raise NotImplementedError


def find_blank_slices(array: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which slices of (slices, rows, columns) hold nothing: (slices,), True is blank."""
    raise NotImplementedError


def read_volume(series: Series) -> tuple[Volume, tuple[Fault, ...]]:
    """Read a DICOM or NIfTI series into a volume; a faulty file is left out and named."""
    raise NotImplementedError
