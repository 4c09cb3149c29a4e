"""Planes and canonical orientation: from stored axes to the radiological view, without interpolation.

Everything is in the DICOM patient system, LPS: x grows to the patient's left, y to posterior, z to superior.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.mri import Plane

PLANE_AXES: dict[Plane, int] = {Plane.SAGITTAL: 0, Plane.CORONAL: 1, Plane.AXIAL: 2}
"""The patient axis along which a plane's slices are stacked: L, P or S."""

_LEFT, _POSTERIOR, _SUPERIOR = np.eye(3)

VIEWS: dict[Plane, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = {
    Plane.AXIAL: (_SUPERIOR, _POSTERIOR, _LEFT),
    Plane.CORONAL: (_POSTERIOR, -_SUPERIOR, _LEFT),
    Plane.SAGITTAL: (_LEFT, -_SUPERIOR, _POSTERIOR),
}
"""Where slices, rows and columns run to in the radiological view."""


SAME_SPACING = 0.01
"""Share of the widest spacing by which spacings may differ and count as one: rounding, not an acquisition."""


def find_slice_axis(spacing_mm: NDArray[np.float64]) -> int:
    """Return which stored axis of a volume in one block (NIfTI) its slices are stacked along.

    It is the one with the widest spacing, for slices are acquired thicker than pixels; of an isotropic volume, whose
    acquisition cannot be told, the third.

    Parameters
    ----------
    spacing_mm
        (3,): distance between voxels along each stored axis.
    """
    return 2 if np.ptp(spacing_mm) < SAME_SPACING * spacing_mm.max() else int(np.argmax(spacing_mm))


def plane_of(normal: NDArray[np.float64]) -> Plane:
    """Return the anatomical plane whose axis is nearest to a slice normal (LPS), of either sign."""
    axis = int(np.argmax(np.abs(normal)))
    return next(plane for plane, index in PLANE_AXES.items() if index == axis)


def orient(array: NDArray[Any], affine: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.float64], Plane]:
    """Flip and transpose a stack of slices to the radiological view of its plane.

    Parameters
    ----------
    array
        ndarray of shape (slices, rows, columns).
    affine
        (4, 4): (slice, row, column, 1) indices to LPS millimetres.

    Returns
    -------
    tuple
        The same voxels in canonical order, the affine that goes with them, and the plane. A voxel keeps its
        place in the patient.
    """
    plane = plane_of(affine[:3, 0])
    slices, rows, columns = VIEWS[plane]
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    straight = abs(directions[:, 1] @ rows) + abs(directions[:, 2] @ columns)
    crossed = abs(directions[:, 1] @ columns) + abs(directions[:, 2] @ rows)
    if crossed > straight:
        array, affine = array.swapaxes(1, 2), affine[:, [0, 2, 1, 3]]
    for axis, target in enumerate((slices, rows, columns)):
        if affine[:3, axis] @ target < 0:
            last = np.zeros(4)
            last[axis], last[3] = array.shape[axis] - 1, 1
            flipped = affine.copy()
            flipped[:, 3] = affine @ last
            flipped[:, axis] = -affine[:, axis]
            array, affine = np.flip(array, axis), flipped
    return array, affine, plane
