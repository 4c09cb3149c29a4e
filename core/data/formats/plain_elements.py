"""The elements of a plain DICOM data set, straight from its first bytes: the common case, several times faster.

Plain is what nearly every MR image is: little endian, every value of a stated length, no nested data that are
wanted, and the header within the first bytes of the file. Of anything else this module says that it is not plain,
and pydicom, which knows every case, reads it instead. Both give the same elements.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container

from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

HEAD_BYTES = 16_384
"""How much of a file is looked at; a header of an MR image takes one to ten thousand bytes."""
SHORT_VRS = frozenset(
    (
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FD",
        "FL",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "SL",
        "SS",
        "ST",
        "TM",
        "UI",
        "UL",
        "US",
    )
)
LONG_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SV", "UC", "UN", "UR", "UT", "UV"))
SEQUENCE_VR = "SQ"
UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM_GROUP = 0xFFFE

_EXPLICIT = struct.Struct("<HH2sH").unpack_from
_IMPLICIT = struct.Struct("<HHL").unpack_from
_GROUP = struct.Struct("<H").unpack_from
_LENGTH = struct.Struct("<L").unpack_from

Found = dict[int, RawDataElement]


def walk_plain(
    head: bytes,
    offset: int,
    *,
    implicit: bool,
    wanted: Container[int],
    stop: Callable[[int, str | None, int], bool] | None = None,
    only_group: int | None = None,
) -> tuple[Found, int, int] | None:
    """Collect the wanted elements up to the first one at which `stop` says so, or which is of another group.

    Parameters
    ----------
    head
        The first bytes of a file.
    offset
        Where in them the data set begins.
    implicit
        Whether the value representations are left out (Implicit VR Little Endian).
    wanted
        Tags whose values are kept.
    stop
        Called with tag, value representation and length of every element.
    only_group
        Stop before the first element of another group, whose encoding may be another.

    Returns
    -------
    tuple or None
        The elements by tag, where the element that stopped it begins, and where its value does. None where the
        data set is not plain, or ends before.
    """
    elements: Found = {}
    end = len(head)
    while offset + 12 <= end:
        begin = offset
        if only_group is not None and _GROUP(head, offset)[0] != only_group:
            return elements, begin, begin
        vr: str | None = None
        if implicit:
            group, element, length = _IMPLICIT(head, offset)
            offset += 8
        else:
            group, element, code, length = _EXPLICIT(head, offset)
            vr = code.decode("latin-1")
            offset += 8
            if vr not in SHORT_VRS:
                if vr not in LONG_VRS and vr != SEQUENCE_VR:
                    return None
                length = _LENGTH(head, offset)[0]
                offset += 4
        tag = group << 16 | element
        if stop is not None and stop(tag, vr, length):
            return elements, begin, offset
        if length == UNDEFINED_LENGTH or group == ITEM_GROUP or offset + length > end:
            return None
        if tag in wanted:
            if vr == SEQUENCE_VR:
                return None
            value = head[offset : offset + length]
            elements[tag] = RawDataElement(BaseTag(tag), vr, length, value, offset, implicit, True)
        offset += length
    return None
