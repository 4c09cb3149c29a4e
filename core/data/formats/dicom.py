"""DICOM instances: the header through an allow-list, the pixels as numbers, and a named error for the rest.

Only the attributes on the allow-list of :mod:`core.data.formats.header` are ever read. A file is judged by its
content, not by its name, so that DICOM without an extension, and without the 128-byte preamble, counts.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset

from core.data.formats.codestream import decode_frames
from core.data.formats.discovery import looks_like_dicom
from core.data.formats.elements import raw_elements, text_of
from core.data.formats.frames import split_frames
from core.data.formats.header import (
    BIG_ENDIAN,
    DEFLATED,
    IMPLICIT,
    NATIVE_SYNTAXES,
    READ_TAGS,
    InstanceHeader,
    build_header,
    check_kind,
)
from core.data.identifying import IDENTIFYING
from core.errors import DicomError, LimitError, refusal
from core.settings import Settings, load_settings

PIXEL_KINDS = {0x7FE00008: "f", 0x7FE00009: "f", 0x7FE00010: ""}
"""Float Pixel Data and Double Float Pixel Data; Pixel Data, whose kind Pixel Representation tells."""
PARSER_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
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
    OSError,
    MemoryError,
)
"""What pydicom may raise on bytes that are not what they claim to be."""
LONGEST_VALUE = 65_536
"""Bytes that an attribute that is read may claim; beyond it nothing is read. A sequence may claim ``header_bytes``."""
UNDEFINED_LENGTH = 0xFFFFFFFF
WANTED = frozenset(READ_TAGS)
SEQUENCES = frozenset({0x52009229, 0x52009230})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """A parsed file, and where its pixel data begin."""

    headers: tuple[InstanceHeader, ...]
    """One for each frame."""
    dataset: Dataset
    source: BinaryIO
    """The file, or its inflated data set."""
    kind: str
    offset: int
    little_endian: bool

    @property
    def header(self) -> InstanceHeader:
        """The first frame's header; size, syntax and stored bits are the same for all."""
        return self.headers[0]


def read_header(path: Path, settings: Settings | None = None) -> InstanceHeader:
    """Read the header of one MR image, without its pixels; of an enhanced object, that of its first frame.

    Parameters
    ----------
    path
        The file; its name does not matter.
    settings
        The limits ``file_pixels`` and ``header_bytes``; this installation's by default.

    Raises
    ------
    DicomError
        Not DICOM, damaged, cut off, in colour, or with several frames and no word on where they lie.
    NotMRError
        Another modality than MR.
    NoPixelsError
        An object without pixel data.
    UnsupportedSyntaxError
        A transfer syntax that no codec here reads.
    LimitError
        More pixels, or more deflated bytes, than this installation accepts.
    """
    return read_headers(path, settings)[0]


def read_headers(path: Path, settings: Settings | None = None) -> tuple[InstanceHeader, ...]:
    """Read the header of each frame of one MR object: one, or those of an enhanced object in stored order.

    Raises as :func:`read_header` does.
    """
    return locate_pixels(path, settings or load_settings())[0]


def locate_pixels(path: Path, settings: Settings) -> tuple[tuple[InstanceHeader, ...], int | None]:
    """Read the headers of one MR object, and where its pixels begin: None unless it is one uncompressed image.

    Raises as :func:`read_header` does.
    """
    with _open(path) as file:
        image = _parse(file, path, settings)
    return image.headers, image.offset if _is_one_plain_image(image) else None


def _is_one_plain_image(image: _Image) -> bool:
    """Whether it holds one uncompressed image of whole numbers."""
    plain = image.header.transfer_syntax in NATIVE_SYNTAXES - {DEFLATED}
    return len(image.headers) == 1 and not image.kind and plain


def read_pixels(path: Path, settings: Settings | None = None) -> NDArray[np.float32]:
    """Read one MR image as float32 of shape (rows, columns).

    Signed values stay signed; values are multiplied by Rescale Slope (0028,1053) and shifted by Rescale
    Intercept (0028,1052); MONOCHROME1 is inverted within the range of its stored bits, so that larger is
    always brighter. Raises as :func:`read_header` does, and DicomError where there are several frames.
    """
    return read_instance(path, settings)[1]


def read_instance(path: Path, settings: Settings | None = None) -> tuple[InstanceHeader, NDArray[np.float32]]:
    """Read header and pixels of one MR image in one go; see :func:`read_header` and :func:`read_pixels`."""
    headers, frames = read_frames(path, settings)
    if len(headers) > 1:
        raise DicomError(f"{path.name} holds {len(headers)} frames where one image was expected; read its series.")
    return headers[0], frames[0].astype(np.float32)


def read_frames(path: Path, settings: Settings | None = None) -> tuple[tuple[InstanceHeader, ...], list[NDArray[Any]]]:
    """Read the frames of one MR object, one or many: their headers, and an array (rows, columns) of each.

    Values are those of :func:`read_pixels`, each frame with its own slope and intercept; whole numbers of up to 16
    bits that need no rescaling are given as they are stored, for making them float32 costs as much as reading. Raises as
    :func:`read_header` does.
    """
    headers, stored, _ = read_stored(load_file(path), path, settings or load_settings())
    return headers, [rescale(frame, header) for frame, header in zip(stored, headers, strict=True)]


def load_file(path: Path) -> memoryview:
    """Return what a file holds.

    Raises
    ------
    DicomError
        It cannot be opened.
    """
    with _open(path) as file:
        return memoryview(file.read())


def read_stored(
    content: memoryview, path: Path, settings: Settings
) -> tuple[tuple[InstanceHeader, ...], list[NDArray[Any]], int | None]:
    """Read the frames of one MR object as they are stored.

    Parameters
    ----------
    content
        The whole file.
    path
        Where it lies; it is not opened.
    settings
        The limits.

    Returns
    -------
    tuple
        The frames' headers, an array (rows, columns) of each, and where the pixels begin as :func:`locate_pixels` says.
        Raises as :func:`read_header` does.
    """
    image = _parse(io.BytesIO(content), path, settings)
    header, offset = image.header, image.offset if _is_one_plain_image(image) else None
    image.source.seek(image.offset)
    if header.transfer_syntax in NATIVE_SYNTAXES:
        pixels = image.source.read(header.frames * header.rows * header.columns * header.bits_allocated // 8)
        frames = list(read_native(pixels, header, image.kind, little_endian=image.little_endian))
    else:
        frames = decode_frames(image.dataset, image.source.read(), header.transfer_syntax, path.name, header.frames)
    return image.headers, frames, offset


def rescale(stored: NDArray[Any], header: InstanceHeader) -> NDArray[Any]:
    """Turn stored values of any shape into those of :func:`read_frames`."""
    if header.inverted:
        # The complement within the stored bits is the same for every slice, which "maximum minus value" is not.
        top = 0 if stored.dtype.kind == "f" else -1 if header.signed else (1 << header.bits_stored) - 1
        stored = top - stored.astype(np.float64)
    if header.slope != 1 or header.intercept != 0:
        stored = stored * header.slope + header.intercept
    elif not header.inverted and stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
        return stored
    with np.errstate(over="ignore"):
        return stored.astype(np.float32)


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
    identifying: list[str] = []

    def at_element(tag: int, vr: str | None, length: int) -> bool:
        # pydicom calls this just before the value: the one place that tells where the pixels begin, and that
        # a person's name is there.
        if tag in PIXEL_KINDS:
            found.append((PIXEL_KINDS[tag], source.tell()))
            return True
        if length and tag in IDENTIFYING:
            identifying.append(IDENTIFYING[tag])
        if length > LONGEST_VALUE and tag in WANTED and length != UNDEFINED_LENGTH:
            _check_length(tag, length, settings)
        return False

    try:
        syntax, following = _read_meta(file, start)
        source = io.BytesIO(_inflate(file, path, settings.header_bytes)) if syntax == DEFLATED else file
        implicit, little = syntax == IMPLICIT, syntax != BIG_ENDIAN
        if not syntax:
            implicit, little = not following[4:6].isalpha(), not following.startswith(b"\0")
        dataset = read_dataset(source, implicit, little, stop_when=at_element, specific_tags=READ_TAGS)
        elements = raw_elements(dataset)
        check_kind(elements, path, has_pixels=bool(found))
        header = build_header(elements, path, syntax, _shared(tuple(identifying)))
        _check_claim(header, settings)
        headers = split_frames(dataset, header)
    except DicomError as error:
        raise type(error)(str(error) if path.name in str(error) else f"{path.name}: {error}") from error
    except PARSER_ERRORS as error:
        raise DicomError(f"{path.name} is not a DICOM file that can be read: {error}.") from error
    kind, offset = found[0]
    image = _Image(headers=headers, dataset=dataset, source=source, kind=kind, offset=offset, little_endian=little)
    _check_size(image)
    return image


@lru_cache(maxsize=256)
def _shared(keywords: tuple[str, ...]) -> tuple[str, ...]:
    """Return one object for equal tuples: the files of a series hold the same attributes."""
    return keywords


def _check_length(tag: int, length: int, settings: Settings) -> None:
    if tag not in SEQUENCES or length > settings.header_bytes:
        raise DicomError(f"the attribute {tag >> 16:04X},{tag & 0xFFFF:04X} claims {length:,} bytes; it is damaged.")


def _read_meta(file: BinaryIO, start: bytes) -> tuple[str, bytes]:
    """Read group 0002 alone and stop behind it: the syntax must be known before anything is inflated.

    Returns the Transfer Syntax UID (empty where there is none) and the first bytes of what follows.
    """
    begin = 132 if start[128:132] == b"DICM" else 0
    file.seek(begin)
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


def _check_claim(header: InstanceHeader, settings: Settings) -> None:
    """Compare what the header claims with the limit, before anything of that size is made."""
    if header.rows * header.columns * header.frames > settings.file_pixels:
        times = f" x {header.frames} frames" if header.frames > 1 else ""
        raise LimitError(
            f"{header.path.name} claims {header.rows} x {header.columns}{times} pixels; at most "
            f"{settings.file_pixels:,} are accepted."
        )


def _check_size(image: _Image) -> None:
    """Compare what the header claims with the file's own length, where pixels are native."""
    header = image.header
    if header.transfer_syntax in NATIVE_SYNTAXES:
        expected = header.rows * header.columns * header.frames * header.bits_allocated // 8
        available = image.source.seek(0, io.SEEK_END) - image.offset
        if available < expected:
            times = f" x {header.frames} frames" if header.frames > 1 else ""
            claimed = f"{header.rows} x {header.columns}{times}"
            there = f"{max(0, available):,}"
            raise DicomError(
                refusal("cut_off", name=header.path.name, claimed=claimed, expected=f"{expected:,}", available=there)
            )


def _has_other_bits(stored: NDArray[Any], header: InstanceHeader) -> bool:
    """Whether there is more in some value than its stored bits; comparing is several times faster than shifting."""
    if header.high_bit != header.bits_stored - 1:
        return True
    if header.bits_stored == header.bits_allocated:
        return False
    stop = 1 << (header.bits_stored - header.signed)
    return bool(stored.max() >= stop or (header.signed and stored.min() < -stop))


def read_native(
    content: bytes | memoryview, header: InstanceHeader, kind: str = "", *, little_endian: bool = True
) -> NDArray[Any]:
    """Return the stored values of uncompressed pixels: (frames, rows, columns).

    Parameters
    ----------
    content
        The pixels' bytes, no more.
    header
        Of the object, or of its first frame.
    kind
        "f" for floating-point pixels; else Pixel Representation tells.
    little_endian
        The order of their bytes.

    Raises
    ------
    DicomError
        So many bits a pixel that cannot be read.
    """
    bits = header.bits_allocated
    kind = kind or ("i" if header.signed else "u")
    if bits not in ((32, 64) if kind == "f" else (8, 16, 32)):
        raise DicomError(f"{header.path.name} stores {bits} bits a pixel; 8, 16 and 32 can be read.")
    stored = np.frombuffer(content, dtype=f"{'<' if little_endian else '>'}{kind}{bits // 8}").astype(
        f"{kind}{bits // 8}", copy=False
    )
    if kind != "f" and _has_other_bits(
        stored, header
    ):  # an overlay; shifting up and down drops it and extends the sign
        stored = (stored << (bits - 1 - header.high_bit)) >> (bits - header.bits_stored)
    return stored.reshape(header.frames, header.rows, header.columns)
