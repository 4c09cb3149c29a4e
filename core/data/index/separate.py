"""What one Series Instance UID may hold beside one volume: several series in one, or nothing anatomical at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from core.data.formats.dicom import InstanceHeader
from core.data.index.recognise import is_localiser_name
from core.data.index.stack import MAJORITY

FEWEST_SLICES = 8
"""A part with fewer slices is no series of its own: three planes of a few slices each are a localiser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The files of one series, in one or several groups."""

    groups: tuple[tuple[InstanceHeader, ...], ...]
    split_by: str = ""
    """In what the groups differ ("echo time"); empty where there is only one."""


def set_aside(headers: Sequence[InstanceHeader], folder: str) -> str:
    """Say why a series is no anatomical one; an empty text where it may be one.

    Told are localisers: by Image Type (0008,0008), Series Description (0008,103E) and the name of the folder.
    """
    first = headers[0]
    if any("LOCALIZER" in header.acquisition.image_type for header in headers):
        return "set aside: a localiser (a planning scan), by its Image Type"
    named = next((name for name in (folder, first.acquisition.series_description) if is_localiser_name(name)), "")
    return f"set aside: a localiser (a planning scan), by its name {named[:60]!r}" if named else ""


def separate(headers: Sequence[InstanceHeader]) -> Parts:
    """Split the files of one series where they are several volumes that their headers tell apart.

    Files that share positions are split by echo time or by image type (magnitude and phase); files of several
    orientations or sizes, none of which three quarters share, by these. What is still no volume then is left in
    one group, for :func:`core.data.index.stack.arrange` to refuse with the reason. The frames of an enhanced object stay
    together, for they are one file.
    """
    whole = Parts(groups=(tuple(headers),))
    if len(headers) < 2 or any(header.frames > 1 for header in headers):
        return whole
    for split_by, key in KEYS:
        if not _applies(split_by, headers):
            continue
        groups: dict[Hashable, list[InstanceHeader]] = defaultdict(list)
        for header in headers:
            groups[key(header)].append(header)
        parts = tuple(tuple(group) for group in groups.values())
        whole_parts = all(len(part) >= FEWEST_SLICES and not _repeats(part) for part in parts)
        if len(parts) > 1 and whole_parts:
            return Parts(groups=parts, split_by=split_by)
    return whole


def _orientation(header: InstanceHeader) -> Hashable:
    directions = (*(header.row_direction or ()), *(header.column_direction or ()))
    return header.rows, header.columns, tuple(round(value, 1) + 0.0 for value in directions)


KEYS: tuple[tuple[str, Callable[[InstanceHeader], Hashable]], ...] = (
    ("echo time", lambda header: header.acquisition.echo_time_ms),
    ("image type", lambda header: (header.acquisition.image_type, header.acquisition.complex_component)),
    ("orientation", _orientation),
)


def _applies(split_by: str, headers: Sequence[InstanceHeader]) -> bool:
    if split_by != "orientation":
        return _repeats(headers)
    kinds = [_orientation(header) for header in headers]
    return max(kinds.count(kind) for kind in set(kinds)) < MAJORITY * len(headers)


def _repeats(headers: Sequence[InstanceHeader]) -> bool:
    """Whether many files lie at positions that are taken."""
    places = {tuple(round(value, 2) for value in header.position_mm or ()) for header in headers}
    return len(places) < MAJORITY * len(headers)
