"""Headers of files that are written alike, as those of one series are: only what differs is parsed.

The files of a series differ in a few elements (the instance's UID and number, its position, times) and are equal
byte for byte in all others. A file that is equal to the one before it in all that is constant has the same header
but for these few, which takes a tenth of the time of parsing it. Anything else is parsed in full.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from core.data.formats.dicom import find_pixels, locate_pixels
from core.data.formats.elements import floats_of, integer_of, text_of
from core.data.formats.header import IMPLICIT, READ_TAGS, InstanceHeader
from core.data.formats.plain_elements import HEAD_BYTES, SHORT_VRS, walk_plain
from core.data.identifying import IDENTIFYING
from core.errors import DicomError
from core.settings import Settings

EXPLICIT = "1.2.840.10008.1.2.1"
"""Explicit VR Little Endian, the usual transfer syntax."""
SOP_INSTANCE, INSTANCE_NUMBER, POSITION = 0x00080018, 0x00200013, 0x00200032
PARSED = frozenset({SOP_INSTANCE, INSTANCE_NUMBER, POSITION})
"""What is read anew from every file."""
VARYING = frozenset({0x00020000, 0x00020003, 0x00201041, *PARSED})
"""What differs between the files of any series: with the above, the meta group's length and UID, Slice Location."""
ACQUISITION_TIME = 0x00080032
"""It may differ within a series; the header keeps that of the file which was parsed in full."""
FIXED = frozenset(READ_TAGS) - PARSED - {ACQUISITION_TIME} | {0x00020010}
"""What the header is made of, or cleaned by: it differs, and the file is parsed in full."""
FIRST_ELEMENT = 132

_SHORT = struct.Struct("<H").unpack_from
_LONG = struct.Struct("<L").unpack_from

Outline = list[tuple[int, str | None, int, int, int]]
"""Of each element its tag and value representation, and where its length stands, its value begins and ends."""


@dataclass(frozen=True, slots=True)
class _Gap:
    """An element whose value may differ."""

    before: bytes
    """What stands before its length, from the end of the last such element on."""
    tag: int
    vr: str | None
    wide: bool
    """Its length takes four bytes, not two."""
    filled: bool | None
    """Whether it must have a value; None where that does not matter."""


@dataclass(frozen=True, slots=True)
class _Template:
    """The file that the next one is compared with."""

    header: InstanceHeader
    content: bytes
    """Its first bytes, up to the pixels."""
    outline: Outline
    varying: frozenset[int]
    gaps: tuple[_Gap, ...]
    rest: bytes
    """What stands behind the last gap, up to the pixels."""


class AlikeReader:
    """Reads the headers of files that lie side by side, one after the other."""

    def __init__(self, settings: Settings) -> None:
        """Start without a file to compare with; `settings` are the limits."""
        self._settings = settings
        self._template: _Template | None = None

    def read(self, content: memoryview, path: Path) -> tuple[InstanceHeader, int]:
        """Return the header of an image of one frame, and where its pixels begin.

        Parameters
        ----------
        content
            The whole file.
        path
            Where it lies; it is not opened.

        Raises
        ------
        DataError
            As :func:`core.data.formats.dicom.read_header` does, and where it is compressed or has several frames.
        """
        head = bytes(content[:HEAD_BYTES])
        found = _fill(self._template, head, len(content), path) if self._template else None
        if found is None:
            header, offset = find_pixels(content, path, self._settings)
            self._template = _learn(header, head, offset, self._template)
            return header, offset
        return found

    def recognise(self, path: Path) -> InstanceHeader | None:
        """Return the header of a file that is alike the one read before it in the same folder; None for any other."""
        template = self._template
        # Of a header's texts a Patient ID that is the name of a folder is not taken out: the folder must be the same.
        if template is None or template.header.path.parent != path.parent:
            return None
        head, size = _read_head(path)
        found = _fill(template, head, size, path)
        return found[0] if found else None

    def read_headers(self, path: Path) -> tuple[InstanceHeader, ...]:
        """Read the headers of any MR object in full (:func:`core.data.formats.dicom.read_headers`), and learn from it.

        Raises as that does.
        """
        headers, offset = locate_pixels(path, self._settings)
        if offset is not None:
            self._template = _learn(headers[0], _read_head(path)[0], offset, self._template)
        return headers


def _read_head(path: Path) -> tuple[bytes, int]:
    """Return a file's first bytes and its size; nothing of one that cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.open
            return file.read(HEAD_BYTES), os.fstat(file.fileno()).st_size
    except OSError:
        return b"", 0


def _fill(template: _Template, content: bytes, size: int, path: Path) -> tuple[InstanceHeader, int] | None:
    """Read what differs from a file's first bytes; None where more does than may."""
    if content[128:132] != b"DICM":
        return None
    place = FIRST_ELEMENT
    elements: dict[int, RawDataElement] = {}
    for gap in template.gaps:
        if not content.startswith(gap.before, place):
            return None
        place += len(gap.before)
        length_bytes = 4 if gap.wide else 2
        if place + length_bytes > HEAD_BYTES:
            return None
        length = (_LONG if gap.wide else _SHORT)(content, place)[0]
        place += length_bytes
        if gap.filled is not None and gap.filled != bool(length):
            return None
        if gap.tag in PARSED:
            value = content[place : place + length]
            if not value.isascii() or b"\x1b" in value:  # escapes to another character set
                return None
            elements[gap.tag] = RawDataElement(BaseTag(gap.tag), gap.vr, length, value, place, gap.vr is None, True)
        place += length
    if not content.startswith(template.rest, place):
        return None
    place += len(template.rest)
    known = template.header
    if place > HEAD_BYTES or size - place < known.rows * known.columns * known.bits_allocated // 8:
        return None
    try:
        position = floats_of(elements, "ImagePositionPatient", 3)
        number = integer_of(elements, "InstanceNumber")
    except DicomError:  # told in full by whoever parses it in full
        return None
    header = replace(
        known,
        path=path,
        sop_instance_uid=text_of(elements, "SOPInstanceUID"),
        instance_number=number,
        position_mm=(position[0], position[1], position[2]) if position else None,
    )
    return header, place


def _learn(header: InstanceHeader, content: bytes, offset: int, before: _Template | None) -> _Template | None:
    """Make a template of a file's first bytes; what differs from the one before, and does not matter, may differ from now on."""
    outline = _outline(content, header.transfer_syntax)
    if outline is None:
        return None
    varying = VARYING
    if before and [entry[0] for entry in before.outline] == [entry[0] for entry in outline]:
        values = zip(_values(before.content, before.outline), _values(content, outline), outline, strict=True)
        differing = {tag for one, other, (tag, *_) in values if one != other}
        varying = before.varying | (differing - FIXED)
    gaps: list[_Gap] = []
    begin = FIRST_ELEMENT
    for tag, vr, length_at, value_at, end in outline:
        if tag in varying:
            filled = end > value_at if tag in IDENTIFYING else None
            gaps.append(_Gap(content[begin:length_at], tag, vr, value_at - length_at == 4, filled))
            begin = end
    return _Template(header, content[:offset], outline, varying, tuple(gaps), content[begin:offset])


def _values(content: bytes, outline: Outline) -> list[bytes]:
    return [content[value_at:end] for _, _, _, value_at, end in outline]


def _outline(content: bytes, syntax: str) -> Outline | None:
    """List the elements before the pixels; None where the file is not plain (:mod:`core.data.formats.plain_elements`)."""
    if content[128:132] != b"DICM" or syntax not in (IMPLICIT, EXPLICIT):
        return None
    outline: Outline = []
    place = FIRST_ELEMENT

    def note(tag: int, vr: str | None, length: int) -> bool:
        nonlocal place
        if tag >> 16 == 0x7FE0:
            return True
        wide = vr not in SHORT_VRS
        length_at = place + (4 if vr is None else 8 if wide else 6)
        value_at = length_at + (4 if wide else 2)
        place = value_at + length
        outline.append((tag, vr, length_at, value_at, place))
        return False

    meta = walk_plain(content, place, implicit=False, wanted=(), stop=note, only_group=2)
    if meta is None:
        return None
    pixels = walk_plain(content, meta[1], implicit=syntax == IMPLICIT, wanted=(), stop=note)
    return outline if pixels is not None and place == pixels[1] else None
