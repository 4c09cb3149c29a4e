"""Planes and canonical orientation: from stored axes to the radiological view, without interpolation.

Everything is in the DICOM patient system, LPS: x grows to the patient's left, y to posterior, z to superior.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """How voxels are flipped and transposed to the radiological view of their plane; a voxel keeps its place."""

    plane: Plane
    affine: NDArray[np.float64]
    """(4, 4): (slice, row, column, 1) indices of the turned voxels to LPS millimetres."""
    crossed: bool = False
    """Rows and columns are exchanged, before anything is flipped."""
    steps: tuple[int, int, int] = (1, 1, 1)
    """-1 where slices, rows or columns are flipped."""

    def apply(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return a view of voxels (slices, rows, columns), or of one slice (rows, columns), in canonical order."""
        turned = voxels.swapaxes(-1, -2) if self.crossed else voxels
        return turned[tuple(slice(None, None, step) for step in self.steps[3 - voxels.ndim :])]


def find_turn(affine: NDArray[np.float64], shape: tuple[int, ...]) -> Turn:
    """Find how voxels of a shape (slices, rows, columns) are turned to the radiological view of their plane.

    `affine` (4, 4) takes (slice, row, column, 1) indices to LPS millimetres.
    """
    plane = plane_of(affine[:3, 0])
    targets = VIEWS[plane]
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    straight = abs(directions[:, 1] @ targets[1]) + abs(directions[:, 2] @ targets[2])
    across = abs(directions[:, 1] @ targets[2]) + abs(directions[:, 2] @ targets[1])
    crossed = bool(across > straight)
    if crossed:
        affine, shape = affine[:, [0, 2, 1, 3]], (shape[0], shape[2], shape[1])
    steps = [1, 1, 1]
    for axis, target in enumerate(targets):
        if affine[:3, axis] @ target < 0:
            last = np.zeros(4)
            last[axis], last[3] = shape[axis] - 1, 1
            flipped = affine.copy()
            flipped[:, 3] = affine @ last
            flipped[:, axis] = -affine[:, axis]
            affine, steps[axis] = flipped, -1
    return Turn(plane, affine, crossed, (steps[0], steps[1], steps[2]))
