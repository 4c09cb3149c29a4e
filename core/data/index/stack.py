"""Which files of a series form one volume, and in which spatial order: from headers alone.

The order is by Image Position (Patient) projected on the normal of Image Orientation (Patient). Instance
Number and file name have no spatial meaning and only break ties.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.formats.dicom import InstanceHeader
from core.data.formats.header import Triple
from core.data.sequences.rules import tell_by_image
from core.data.study import Fault
from core.errors import MixedSeriesError, refusal
from core.mri import PLANE_AXES, Plane, plane_of

MAJORITY = 0.75
"""Share of the files that must agree; the odd ones out are then left out by name. Below it, nothing is kept."""
SAME_DIRECTION = 0.01
"""Largest difference of two direction cosines that count as one orientation: about half a degree."""
SAME_POSITION_MM = 0.01
UNEVEN_GAP = 0.1
"""Part of a step by which gaps may differ, before their spacing counts as uneven."""


_Directions = tuple[Triple, Triple]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """Parallel slices of one size in spatial order, along increasing L, P or S."""

    headers: tuple[InstanceHeader, ...]
    plane: Plane
    offsets_mm: NDArray[np.float64]
    """(slices,): distance of each slice from the first, along the normal."""
    affine: NDArray[np.float64]
    """(4, 4): (slice, row, column, 1) to LPS millimetres; the slice step is the usual (median) gap."""
    faults: tuple[Fault, ...] = ()
    """Files left out, and slices that seem to be missing."""

    @property
    def spacing_known(self) -> bool:
        """Whether the files state Pixel Spacing (0028,0030); else rows and columns count as 1 mm apart."""
        return self.headers[0].pixel_spacing_mm is not None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, rows and columns, in millimetres."""
        slices, rows, columns = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return slices, rows, columns


def arrange(headers: Sequence[InstanceHeader]) -> Stack:
    """Put the files of one series in spatial order.

    Where at least three quarters of the files agree in size, spacing and orientation, they are kept and the
    others become faults; likewise single repeated positions. A file without geometry can only stand alone.

    Raises
    ------
    MixedSeriesError
        No such majority; a time series or several echoes; gaps without a common step; a mosaic; several files
        without a position.
    """
    if not headers:
        raise MixedSeriesError("The series holds no file that can be read.")
    ordered = sorted(headers, key=lambda header: str(header.path))
    mosaic = next((header for header in ordered if "MOSAIC" in header.acquisition.image_type), None)
    if mosaic:
        raise MixedSeriesError(refusal("mosaic", name=mosaic.path.name))
    if len(ordered) == 1 and not _has_geometry(ordered[0]):
        return _lone_slice(ordered[0])
    plain, other_frames = _keep_plain_frames(ordered)
    kept, faults = _keep_majority(plain)
    kept, repeated = _drop_repeats(kept)
    return _stack(kept, (*other_frames, *faults, *repeated))


def _place(headers: Sequence[InstanceHeader]) -> str:
    return headers[0].path.parent.name or "the series"


def _has_geometry(header: InstanceHeader) -> bool:
    return None not in (header.position_mm, header.row_direction, header.column_direction)


def _lone_slice(header: InstanceHeader) -> Stack:
    rows_mm, columns_mm = header.pixel_spacing_mm or (1.0, 1.0)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = header.slice_thickness_mm or 1.0, rows_mm, columns_mm, 1
    return Stack(headers=(header,), plane=Plane.UNKNOWN, offsets_mm=np.zeros(1), affine=affine)


def _keep_plain_frames(headers: list[InstanceHeader]) -> tuple[list[InstanceHeader], list[Fault]]:
    """Keep the magnitude frames of enhanced objects that hold phase or other frames beside them."""
    others = {id(header): tell_by_image(header.acquisition) for header in headers if header.frames > 1}
    left_out = [header for header in headers if others.get(id(header))]
    if not left_out or len(left_out) == len(headers):
        return headers, []
    kept = [header for header in headers if not others.get(id(header))]
    reason = f"left out: {len(left_out)} of its frames, each {others[id(left_out[0])]} beside plain ones"
    return kept, [Fault(path=str(left_out[0].path), reason=reason)]


def _keep_majority(headers: Sequence[InstanceHeader]) -> tuple[list[InstanceHeader], list[Fault]]:
    """Keep the files that agree with most others in what one volume must share."""
    groups: dict[tuple[object, ...], list[InstanceHeader]] = defaultdict(list)
    references: dict[_Directions, _Directions] = {}
    for header in headers:
        groups[_shape_key(header, references)].append(header)
    kept = max(groups.values(), key=len)
    if len(kept) < MAJORITY * len(headers) or not _has_geometry(kept[0]):
        counts = "; ".join(
            f"{len(group)} of {_describe(group[0])}" for group in sorted(groups.values(), key=len)[::-1][:4]
        )
        raise MixedSeriesError(refusal("no_volume", count=len(headers), place=_place(headers), found=counts))
    usual = _describe(kept[0])
    faults = [
        Fault(path=str(header.path), reason=f"left out: {_describe(header)}, while most of its series are {usual}")
        for group in groups.values()
        if group is not kept
        for header in group
    ]
    return kept, faults


def _shape_key(header: InstanceHeader, references: dict[_Directions, _Directions]) -> tuple[object, ...]:
    """Name what a file must share with the others; nearly equal directions count as those that came first."""
    if header.position_mm is None or header.row_direction is None or header.column_direction is None:
        return (header.rows, header.columns, None)
    directions = header.row_direction, header.column_direction
    if directions not in references:
        references[directions] = next(
            (known for known in references.values() if np.abs(np.subtract(known, directions)).max() < SAME_DIRECTION),
            directions,
        )
    spacing = tuple(round(value, 3) for value in header.pixel_spacing_mm or ())
    return (header.rows, header.columns, spacing, references[directions])


def _describe(header: InstanceHeader) -> str:
    size = f"{header.rows} x {header.columns} pixels"
    if not _has_geometry(header):
        return f"{size} without a position in the patient"
    normal = _normal(header)
    angle = ", ".join(f"{value + 0.0:.2f}" for value in normal.round(2))
    spacing = " x ".join(f"{value:g}" for value in header.pixel_spacing_mm or ())
    return f"{size}, {plane_of(normal)} (normal {angle}){f', {spacing} mm' if spacing else ''}"


def _normal(header: InstanceHeader) -> NDArray[np.float64]:
    """Return the slice normal, pointing along increasing L, P or S."""
    normal = np.cross(np.array(header.row_direction), np.array(header.column_direction))
    normal *= np.sign(normal[PLANE_AXES[plane_of(normal)]])
    return normal / np.linalg.norm(normal)


def _drop_repeats(headers: Sequence[InstanceHeader]) -> tuple[list[InstanceHeader], list[Fault]]:
    """Leave out copies of a file, and the few further files at a position that is taken."""
    normal = _normal(headers[0])
    ranked = sorted(
        ((_along(header, normal), header) for header in headers),
        key=lambda pair: (pair[0], pair[1].instance_number or 0, str(pair[1].path), pair[1].frame),
    )
    kept: list[InstanceHeader] = []
    last = -np.inf
    seen: dict[tuple[str, int, float], InstanceHeader] = {}
    faults: list[Fault] = []
    per_position: Counter[int] = Counter()
    for along, header in ranked:
        identity = header.sop_instance_uid, header.frame, round(along, 2)  # some programs give all slices one UID
        if header.sop_instance_uid and identity in seen:
            twin = seen[identity].path.name
            faults.append(Fault(path=str(header.path), reason=f"left out: a copy of {twin} (same SOP Instance UID)"))
            continue
        seen[identity] = header
        if along - last < SAME_POSITION_MM:
            reason = f"left out: at the same position as {kept[-1].path.name}"
            faults.append(Fault(path=str(header.path), reason=reason))
        else:
            kept.append(header)
            last = along
        per_position[len(kept)] += 1
    if len(kept) < MAJORITY * per_position.total():
        times = headers[0].temporal_positions or 0
        what = (
            f"a time series of {times} points"
            if times > 1
            else "a time series, several echoes or several series in one"
        )
        raise MixedSeriesError(
            refusal(
                "repeated",
                count=per_position.total(),
                place=_place(headers),
                positions=len(kept),
                most=max(per_position.values()),
                what=what,
            )
        )
    return kept, faults


def _along(header: InstanceHeader, normal: NDArray[np.float64]) -> float:
    return float(np.dot(normal, np.array(header.position_mm)))


def _stack(headers: Sequence[InstanceHeader], faults: Sequence[Fault]) -> Stack:
    first, normal = headers[0], _normal(headers[0])
    offsets = np.array([_along(header, normal) for header in headers])
    offsets -= offsets[0]
    gaps = np.diff(offsets)
    step = _find_step(headers, gaps) if len(gaps) else first.slice_thickness_mm or 1.0
    rows_mm, columns_mm = first.pixel_spacing_mm or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0] = normal * step
    # The row index runs down a column, the column index along a row.
    affine[:3, 1] = np.array(first.column_direction) * rows_mm
    affine[:3, 2] = np.array(first.row_direction) * columns_mm
    affine[:3, 3] = first.position_mm
    found = list(faults)
    if len(gaps) and np.ptp(gaps) > UNEVEN_GAP * step:
        reason = f"gaps between slices vary from {gaps.min():g} to {gaps.max():g} mm (usually {step:g}): slices may be missing"
        found.append(Fault(path=str(first.path.parent), reason=reason))
    return Stack(headers=tuple(headers), plane=plane_of(normal), offsets_mm=offsets, affine=affine, faults=tuple(found))


def _find_step(headers: Sequence[InstanceHeader], gaps: NDArray[np.float64]) -> float:
    """Return the usual gap; gaps of two or three steps are missing slices, and gaps of no whole steps no volume."""
    step = float(np.percentile(gaps, 50, method="lower"))
    steps = gaps / step
    odd = np.abs(steps - np.maximum(steps.round(), 1)) > UNEVEN_GAP * np.maximum(steps, 1)
    if odd.mean() > 1 - MAJORITY:
        raise MixedSeriesError(
            refusal("uneven", place=_place(headers), least=f"{gaps.min():g}", most=f"{gaps.max():g}")
        )
    return step
