"""Planes and canonical orientation: from stored axes to the radiological view, without interpolation.

Everything is in the DICOM patient system, LPS: x grows to the patient's left, y to posterior, z to superior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

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


VOXEL_AXES = {"i": 0, "j": 1, "k": 2}
"""Stored axes as BIDS names them."""
NEARLY_ALONG = 0.9
"""Cosine above which an axis counts as the normal of the slices."""
SAME_SPACING = 0.01
"""Share by which two spacings may differ and count as one: rounding, not an acquisition."""
OTHER_SPACING = 0.03
"""Share by which the third spacing must differ from two that are one, to be that between slices."""
WIDER = 1.2
"""How many times wider than any other the distance between slices is, where all three differ."""


@dataclass(frozen=True, slots=True)
class SliceAxis:
    """Which stored axis of a volume in one block (NIfTI) its slices are stacked along, and what says so."""

    index: int
    source: Literal["stated", "spacing", "convention"]
    """Stated by the file or its sidecar; told by the spacing; or neither, and axial by convention."""


def find_slice_axis(axes_mm: NDArray[np.float64], stated: int | None = None) -> SliceAxis:
    """Find the axis along which a volume was acquired slice by slice: the one rule for the plane of an image.

    What is stated decides. Else pixels are square and slices are not as thick as pixels are wide, so that it is the axis
    whose spacing differs from two equal ones, or the one that is clearly the widest. Voxels that are about equally wide in
    all directions do not tell: such a volume counts as axial, however it is stored. (DICOM states its slices; see
    :mod:`core.data.index.stack`.)

    Parameters
    ----------
    axes_mm
        (3, 3): the step along each stored axis, a column each, in LPS millimetres.
    stated
        The axis that the file (dim_info) or its sidecar states.
    """
    if stated is not None:
        return SliceAxis(stated, "stated")
    spacing = np.linalg.norm(axes_mm, axis=0)
    told = _tell_by_spacing(spacing)
    if told is not None:
        return SliceAxis(told, "spacing")
    return SliceAxis(int(np.argmax(np.abs(axes_mm[2]) / spacing)), "convention")


def _tell_by_spacing(spacing_mm: NDArray[np.float64]) -> int | None:
    order = np.argsort(spacing_mm)
    low, middle, high = spacing_mm[order]
    if high >= WIDER * middle:
        return int(order[2])
    if middle - low <= high - middle:
        odd, one, other = 2, low, middle
    else:
        odd, one, other = 0, middle, high
    alike = other - one < SAME_SPACING * other
    differs = abs(spacing_mm[order[odd]] / (one + other) * 2 - 1) >= OTHER_SPACING
    return int(order[odd]) if alike and differs else None


def find_widest_axis(axes_mm: NDArray[np.float64]) -> SliceAxis:
    """Find the slice axis as the first version of the reader did (``PrepConfig.reader_version`` 1): along the widest spacing.

    It is the third where all are alike. Of nearly equal spacings the last digits of a number decide.
    """
    spacing = np.linalg.norm(axes_mm, axis=0)
    return SliceAxis(2 if np.ptp(spacing) < SAME_SPACING * spacing.max() else int(np.argmax(spacing)), "spacing")


def find_stated_slices(content: Mapping[str, Any], axes_mm: NDArray[np.float64]) -> int | None:
    """Return which stored axis of a NIfTI volume its sidecar says that slices are stacked along; None where it does not.

    Read are SliceEncodingDirection ("k-") and ImageOrientationPatientDICOM, of which the latter is believed where an axis
    runs nearly along its normal: a volume that was resampled may have kept its sidecar.

    Parameters
    ----------
    content
        The fields of the sidecar.
    axes_mm
        (3, 3): the step along each stored axis, a column each, in LPS.
    """
    named = str(content.get("SliceEncodingDirection", ""))[:1]
    if named in VOXEL_AXES:
        return VOXEL_AXES[named]
    try:
        row, column = np.array(content.get("ImageOrientationPatientDICOM"), np.float64).reshape(2, 3)
    except (TypeError, ValueError):
        return None
    along = np.abs(np.cross(row, column) @ (axes_mm / np.linalg.norm(axes_mm, axis=0)))
    return int(along.argmax()) if along.max() > NEARLY_ALONG else None


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
