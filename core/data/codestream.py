"""Compressed pixel data: which transfer syntaxes can be read here, and one frame decoded within bounds.

The codecs are python-gdcm and pylibjpeg-openjpeg, through pydicom. A codestream carries its own dimensions,
and a decoder allocates what they say: they are compared with the header before a decoder sees them.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import UID, RLELossless

from core.errors import DicomError, UnsupportedSyntaxError

__all__ = ["check_syntax", "codestream_size", "decode_frame"]

JPEG_START = b"\xff\xd8"
JPEG_2000_SIZE = b"\xff\x4f\xff\x51"
JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Start of frame: JPEG (SOF0 to SOF15 without DHT, JPG and DAC) and JPEG-LS (SOF55)."""
CODEC_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
    OSError,
    StopIteration,
    EOFError,
    struct.error,
)
"""What the codecs raise, down to a bare RuntimeError, on a damaged codestream."""


@lru_cache(maxsize=64)
def check_syntax(syntax: str) -> None:
    """Make sure that a compressed transfer syntax can be decoded on this installation.

    Raises
    ------
    UnsupportedSyntaxError
        It cannot; the message names it.
    """
    uid = UID(syntax)
    name = f"{uid.name} ({syntax})" if uid.name != syntax else syntax
    try:
        available = get_decoder(uid).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise UnsupportedSyntaxError(
            f"the transfer syntax {name} cannot be read here; convert it to Explicit VR Little Endian, "
            "for example with dcmdjpeg or gdcmconv --raw."
        )


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Read (rows, columns) from a JPEG, JPEG-LS or JPEG 2000 codestream; None where they are not found."""
    start = frame.find(JPEG_2000_SIZE, 0, 4096)
    if start >= 0 and not frame.startswith(JPEG_START) and len(frame) >= start + 24:
        # SIZ: marker, Lsiz (2), Rsiz (2), Xsiz, Ysiz, XOsiz, YOsiz (4 each); ISO 15444-1 A.5.1
        right, bottom, left, top = struct.unpack(">4I", frame[start + 8 : start + 24])
        return bottom - top, right - left
    if not frame.startswith(JPEG_START):
        return None
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in JPEG_FRAME_MARKERS:
            rows, columns = struct.unpack(">HH", frame[at + 5 : at + 9])
            return rows, columns
        else:
            at += 2 + struct.unpack(">H", frame[at + 2 : at + 4])[0]
    return None


def decode_frame(dataset: Dataset, content: bytes, syntax: str, name: str) -> NDArray[Any]:
    """Decode the one frame of a compressed image: stored values of shape (rows, columns).

    Parameters
    ----------
    dataset
        The image's attributes, without the pixel data.
    content
        The encapsulated pixel data (PS3.5 A.4), from the first item on.
    syntax
        Transfer Syntax UID (0002,0010).
    name
        The file's name, for messages.

    Raises
    ------
    DicomError
        The codestream is damaged, or larger than the header says.
    """
    shape = (dataset.Rows, dataset.Columns)
    image = Dataset()
    image.update(dataset)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(syntax)
    image.add_new("PixelData", "OB", content)
    image["PixelData"].is_undefined_length = True
    try:
        frame = next(generate_frames(content, number_of_frames=1))
        size = codestream_size(frame)
        if size != shape and not (size is None and syntax == RLELossless):
            found = f"{size[0]} x {size[1]}" if size else "no size"
            raise DicomError(f"{name}: the compressed image states {found}, the header {shape[0]} x {shape[1]}.")
        array: NDArray[Any] = get_decoder(UID(syntax)).as_array(image, raw=True)[0]
    except CODEC_ERRORS as error:
        raise DicomError(f"{name} has damaged pixel data ({UID(syntax).name}): {error}") from error
    if array.shape != shape:
        raise DicomError(f"{name} decodes to {array.shape} pixels; the header says {shape}.")
    return array
