"""Which DICOM files are one series: by folder and Series Instance UID, and where these cut a series in pieces, by place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

import numpy as np

from core.data.formats.dicom import InstanceHeader
from core.data.index.recognise import recognise_name

FEWEST_PIECES = 3
"""Files of a UID each that are one series: fewer may be three views of a localiser."""
SAME_MM = 0.05
"""Positions are written with rounding."""


def group_headers(headers: Iterable[InstanceHeader]) -> list[tuple[Path, list[InstanceHeader]]]:
    """Put the files of each series together.

    The files of one UID in several folders are one series where no two lie at one position and no two of the folders
    are named as different sequences; files that have each a UID of their own, in one folder, where they are slices of
    one stack.

    Returns
    -------
    list of (Path, list of InstanceHeader)
        The first folder of each, and its files.
    """
    groups: dict[tuple[Path, str], list[InstanceHeader]] = defaultdict(list)
    for header in headers:
        groups[header.path.parent, header.series_uid].append(header)
    folders = Counter(uid for _, uid in groups)
    by_uid: dict[Hashable, list[list[InstanceHeader]]] = defaultdict(list)
    for (_, uid), group in groups.items():
        is_piece = len(group) == 1 and bool(uid) and folders[uid] == 1
        by_uid[stack_key(group[0]) if is_piece else uid].append(group)
    joined: list[list[InstanceHeader]] = []
    for key, pieces in by_uid.items():
        fewest = FEWEST_PIECES if isinstance(key, tuple) else 2
        joined += [_chain(pieces)] if len(pieces) >= fewest and _are_disjoint(pieces) else pieces
    return [(group[0].path.parent, group) for group in joined]


def stack_key(header: InstanceHeader) -> Hashable:
    """What single files must share to be slices of one series in spite of their UIDs; its own UID where it cannot be told."""
    place = (header.row_direction, header.column_direction, header.rows, header.columns, header.pixel_spacing_mm)
    one_frame = header.frames == 1 and header.position_mm is not None and bool(header.acquisition.series_description)
    return (header.path.parent, header.acquisition.series_description, place) if one_frame else header.series_uid


def is_even_stack(headers: Sequence[InstanceHeader]) -> bool:
    """Whether single slices that share a :func:`stack_key` lie one behind the other, at one distance or where one is missing."""
    first = headers[0]
    if len(headers) < FEWEST_PIECES or first.row_direction is None or first.column_direction is None:
        return False
    positions = np.array([header.position_mm for header in headers], float)
    normal = np.cross(first.row_direction, first.column_direction)
    along = positions @ normal
    gaps = np.diff(np.sort(along))
    beside = np.ptp(positions - along[:, None] * normal, axis=0).max()
    step = gaps.min()
    return bool(beside < SAME_MM < step and np.abs(gaps - step * np.rint(gaps / step)).max() < SAME_MM)


def _are_disjoint(pieces: list[list[InstanceHeader]]) -> bool:
    folders = {group[0].path.parent.name for group in pieces}
    named = {recognise_name(folder) for folder in folders} - {None}
    places = [(header.position_mm, header.frame) for group in pieces for header in group]
    return len(named) < 2 and None not in {place for place, _ in places} and len(set(places)) == len(places)


def _chain(pieces: list[list[InstanceHeader]]) -> list[InstanceHeader]:
    return [header for group in pieces for header in group]
