"""DICOM instances: the header through an allow-list, the pixels as numbers, and a named error for the rest.

Only the attributes on the allow-list of :mod:`core.data.header` are ever read. A file is judged by its
content, not by its name, so that DICOM without an extension, and without the 128-byte preamble, counts.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset

from core.data.codestream import decode_frame
from core.data.elements import text_of
from core.data.header import (
    ALLOWED_TAGS,
    BIG_ENDIAN,
    DEFLATED,
    IMPLICIT,
    NATIVE_SYNTAXES,
    InstanceHeader,
    build_header,
    check_kind,
)
from core.errors import DicomError, LimitError
from core.settings import Settings, load_settings

__all__ = ["InstanceHeader", "looks_like_dicom", "read_header", "read_instance", "read_pixels"]

PIXEL_KINDS = {0x7FE00008: "f", 0x7FE00009: "f", 0x7FE00010: ""}
"""Float Pixel Data and Double Float Pixel Data; Pixel Data, whose kind Pixel Representation tells."""
PARSER_ERRORS = (
    InvalidDicomError,
    EOFError,
    struct.error,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RecursionError,
)
"""What pydicom may raise on bytes that are not what they claim to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """A parsed file, and where its pixel data begin."""

    header: InstanceHeader
    dataset: Dataset
    source: BinaryIO
    """The file, or its inflated data set."""
    kind: str
    offset: int
    little_endian: bool


def looks_like_dicom(start: bytes) -> bool:
    """Tell from the first 132 bytes of a file whether it can be DICOM, with or without the preamble."""
    if start[128:132] == b"DICM":
        return True
    # Without a preamble the file begins with the first element of group 0002 or 0008, in either byte order.
    little, big = struct.unpack("<HH", start[:4].ljust(4)), struct.unpack(">HH", start[:4].ljust(4))
    return any(group in (2, 8) and element < 0x1000 for group, element in (little, big))


def read_header(path: Path, settings: Settings | None = None) -> InstanceHeader:
    """Read the header of one MR image, without its pixels.

    Parameters
    ----------
    path
        The file; its name does not matter.
    settings
        The limits ``file_pixels`` and ``header_bytes``; this installation's by default.

    Raises
    ------
    DicomError
        Not DICOM, damaged, cut off, in colour, or with several frames.
    NotMRError
        Another modality than MR.
    NoPixelsError
        An object without pixel data.
    UnsupportedSyntaxError
        A transfer syntax that no codec here reads.
    LimitError
        More pixels, or more deflated bytes, than this installation accepts.
    """
    with _open(path) as file:
        return _parse(file, path, settings or load_settings()).header


def read_pixels(path: Path, settings: Settings | None = None) -> NDArray[np.float32]:
    """Read one MR image as float32 of shape (rows, columns).

    Signed values stay signed; values are multiplied by Rescale Slope (0028,1053) and shifted by Rescale
    Intercept (0028,1052); MONOCHROME1 is inverted within the range of its stored bits, so that larger is
    always brighter. Raises as :func:`read_header` does.
    """
    return read_instance(path, settings)[1]


def read_instance(path: Path, settings: Settings | None = None) -> tuple[InstanceHeader, NDArray[np.float32]]:
    """Read header and pixels of one MR image in one go; see :func:`read_header` and :func:`read_pixels`."""
    with _open(path) as file:
        image = _parse(file, path, settings or load_settings())
        header = image.header
        image.source.seek(image.offset)
        if header.transfer_syntax in NATIVE_SYNTAXES:
            stored = _read_native(image)
        else:
            stored = decode_frame(image.dataset, image.source.read(), header.transfer_syntax, path.name)
    if header.inverted:
        # The complement within the stored bits is the same for every slice, which "maximum minus value" is not.
        top = 0 if stored.dtype.kind == "f" else -1 if header.signed else (1 << header.bits_stored) - 1
        stored = top - stored.astype(np.float64)
    if header.slope != 1 or header.intercept != 0:
        stored = stored * header.slope + header.intercept
    return header, stored.astype(np.float32)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DicomError(f"{path.name} cannot be opened: {error.strerror}.") from error


def _parse(file: BinaryIO, path: Path, settings: Settings) -> _Image:
    """Parse up to the pixel data, and check all that can be checked before a pixel is touched."""
    start = file.read(132)
    if not looks_like_dicom(start):
        what = "an empty file" if not start else "not a DICOM file"
        raise DicomError(f"{path.name} is {what}: it has no DICM prefix and does not begin with a DICOM element.")
    found: list[tuple[str, int]] = []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        # pydicom calls this just before the value: the one place that tells where the pixels begin.
        if tag in PIXEL_KINDS:
            found.append((PIXEL_KINDS[tag], source.tell()))
        return tag in PIXEL_KINDS

    try:
        syntax, following = _read_meta(file, start)
        source = io.BytesIO(_inflate(file, path, settings.header_bytes)) if syntax == DEFLATED else file
        implicit, little = syntax == IMPLICIT, syntax != BIG_ENDIAN
        if not syntax:
            implicit, little = not following[4:6].isalpha(), not following.startswith(b"\0")
        dataset = read_dataset(source, implicit, little, stop_when=at_pixels, specific_tags=ALLOWED_TAGS)
        check_kind(dataset, path, has_pixels=bool(found))
        header = build_header(dataset, path, syntax)
    except DicomError as error:
        raise type(error)(str(error) if path.name in str(error) else f"{path.name}: {error}") from error
    except PARSER_ERRORS as error:
        raise DicomError(f"{path.name} is not a DICOM file that can be read: {error}.") from error
    kind, offset = found[0]
    image = _Image(header=header, dataset=dataset, source=source, kind=kind, offset=offset, little_endian=little)
    _check_size(image, settings)
    return image


def _read_meta(file: BinaryIO, start: bytes) -> tuple[str, bytes]:
    """Read group 0002 alone and stop behind it: the syntax must be known before anything is inflated.

    Returns the Transfer Syntax UID (empty where there is none) and the first bytes of what follows.
    """
    file.seek(132 if start[128:132] == b"DICM" else 0)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    following = file.read(6)
    file.seek(-len(following), io.SEEK_CUR)
    return text_of(meta, "TransferSyntaxUID"), following


def _inflate(file: BinaryIO, path: Path, limit: int) -> bytes:
    """Inflate a deflated data set (PS3.5 A.5), but never beyond `limit` bytes."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(file.read(limit + 1), limit + 1)
    except zlib.error as error:
        raise DicomError(f"{path.name} is deflated and damaged: {error}.") from error
    if len(content) > limit:
        raise LimitError(
            f"{path.name} is deflated and inflates to more than {limit:,} bytes, the limit here; "
            "no MR image needs that, so check where it comes from, or store it uncompressed."
        )
    return content


def _check_size(image: _Image, settings: Settings) -> None:
    """Compare what the header claims with the limit and, where pixels are native, with the file's own length."""
    header = image.header
    name, pixels = header.path.name, header.rows * header.columns
    if pixels > settings.file_pixels:
        raise LimitError(
            f"{name} claims {header.rows} x {header.columns} pixels; at most {settings.file_pixels:,} are accepted."
        )
    if header.transfer_syntax in NATIVE_SYNTAXES:
        expected = pixels * header.bits_allocated // 8
        available = image.source.seek(0, io.SEEK_END) - image.offset
        if available < expected:
            raise DicomError(
                f"{name} is cut off: {header.rows} x {header.columns} pixels need {expected:,} bytes, "
                f"{max(0, available):,} are there; copy it again."
            )


def _read_native(image: _Image) -> NDArray[Any]:
    """Read uncompressed pixels: stored values of shape (rows, columns)."""
    header, bits = image.header, image.header.bits_allocated
    kind = image.kind or ("i" if header.signed else "u")
    if bits not in ((32, 64) if kind == "f" else (8, 16, 32)):
        raise DicomError(f"{header.path.name} stores {bits} bits a pixel; 8, 16 and 32 can be read.")
    content = image.source.read(header.rows * header.columns * bits // 8)
    stored = np.frombuffer(content, dtype=f"{'<' if image.little_endian else '>'}{kind}{bits // 8}")
    if kind != "f" and (header.bits_stored != bits or header.high_bit != bits - 1):
        # Bits beside the stored ones may hold an overlay; shifting up and down drops them and extends the sign.
        stored = (stored << (bits - 1 - header.high_bit)) >> (bits - header.bits_stored)
    return stored.reshape(header.rows, header.columns)
