"""Values of single DICOM elements, read from their raw bytes: bounded, without warnings, None where absent.

pydicom converts whole elements by their VR and warns about every deviation; here a deviation that matters is
an error that names the attribute, and one that does not matter is silent.
"""

from __future__ import annotations

import math
import struct
from functools import cache

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from core.errors import DicomError, refusal

Elements = Dataset | dict[int, RawDataElement]
"""Where values are looked up: a data set, or its raw elements by tag, which is several times faster."""

BINARY_VRS = frozenset({None, "US", "SS"})
BINARY_KEYWORDS = frozenset(
    {"SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"}
)
DOUBLE_KEYWORDS = frozenset({"EffectiveEchoTime", "InversionTimes"})
"""Attributes of enhanced MR that are stored as eight bytes a number (FD)."""
LONGEST_TEXT = 1024
"""Bytes of a text that are kept; the longest allowed in the attributes read here is 64 characters a value."""


def raw_elements(dataset: Dataset) -> dict[int, RawDataElement]:
    """Take the elements that pydicom has not converted out of a data set, by tag as a plain number.

    Looking an element up in a :class:`~pydicom.dataset.Dataset` costs more than parsing it.
    """
    return {int(tag): element for tag, element in dataset.items() if isinstance(element, RawDataElement)}


def text_of(dataset: Elements, keyword: str) -> str:
    """Return an attribute as text, its values joined by backslashes; empty where it is absent."""
    raw = _raw_value(dataset, keyword)
    if raw.isascii() and b"\x1b" not in raw:
        return _printable(raw.decode("ascii"))
    charset = _raw_value(dataset, "SpecificCharacterSet").decode("ascii", "replace").strip(" \0")
    try:
        encodings = convert_encodings(charset.split("\\"))
        text = decode_bytes(raw[:LONGEST_TEXT], encodings, {ord(delimiter) for delimiter in "\r\n\f\t\\"})
    except (LookupError, UnicodeError, ValueError):
        text = raw[:LONGEST_TEXT].decode("latin-1")
    return _printable(text)


def floats_of(dataset: Elements, keyword: str, count: int | None = None) -> tuple[float, ...]:
    """Return an attribute's finite numbers; empty where it is absent or without a value.

    Raises
    ------
    DicomError
        Something else than numbers, or not `count` of them.
    """
    raw = _raw_value(dataset, keyword)
    text = raw.decode("ascii", "replace").strip(" \0")
    if not raw or (not text and keyword not in DOUBLE_KEYWORDS):
        return ()
    try:
        if keyword in DOUBLE_KEYWORDS:
            values = _doubles(dataset, keyword, raw)
        else:
            values = tuple(float(part) for part in text.split("\\") if part.strip())
    except (ValueError, struct.error):
        values = ()
    if not values or not all(math.isfinite(value) for value in values) or (count and len(values) != count):
        expected = f"{count} numbers" if count else "a number"
        raise DicomError(refusal("number", keyword=keyword, found=text[:60], expected=expected))
    return values


def integer_of(dataset: Elements, keyword: str) -> int | None:
    """Return an attribute's first whole number, stored as text (IS) or in two bytes (US); None where absent.

    Raises
    ------
    DicomError
        Something else than a whole number.
    """
    element = _raw_element(dataset, keyword)
    if element is None or not element.value:
        return None
    if keyword in BINARY_KEYWORDS and element.VR in BINARY_VRS and len(element.value) >= 2:
        return int(struct.unpack("<H" if element.is_little_endian else ">H", element.value[:2])[0])
    values = floats_of(dataset, keyword)
    if values and values[0] != int(values[0]):
        raise DicomError(refusal("number", keyword=keyword, found=values[0], expected="a whole number"))
    return int(values[0]) if values else None


def described_number(dataset: Elements, keyword: str) -> float | None:
    """Return a number that only describes the scan; None where it is absent, or a text in its place ("5 mm", "ANON")."""
    try:
        return next(iter(floats_of(dataset, keyword)), None)
    except DicomError:
        return None


def described_integer(dataset: Elements, keyword: str) -> int | None:
    """Return a whole number that only describes the scan; None as :func:`described_number`."""
    try:
        return integer_of(dataset, keyword)
    except DicomError:
        return None


def _doubles(dataset: Elements, keyword: str, raw: bytes) -> tuple[float, ...]:
    element = _raw_element(dataset, keyword)
    order = "<" if element is None or element.is_little_endian else ">"
    return struct.unpack(f"{order}{len(raw) // 8}d", raw)


def _printable(text: str) -> str:
    text = text[:LONGEST_TEXT]
    return (text if text.isprintable() else "".join(filter(str.isprintable, text))).strip()


@cache
def _tag_of(keyword: str) -> int:
    return int(Tag(keyword))


def _raw_element(dataset: Elements, keyword: str) -> RawDataElement | None:
    tag = _tag_of(keyword)
    element = dataset.get(tag) if isinstance(dataset, dict) else dataset.get_item(tag)
    return element if isinstance(element, RawDataElement) else None


def _raw_value(dataset: Elements, keyword: str) -> bytes:
    element = _raw_element(dataset, keyword)
    return (element.value or b"") if element else b""
