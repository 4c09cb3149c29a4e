"""DICOM instances: the header through an allow-list, the pixels as numbers, and a named error for the rest.

Nothing that names a person leaves this module: only the attributes listed here are ever read. A file is
judged by its content, not by its name, so that DICOM without an extension, and without the 128-byte
preamble, counts.
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
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset

from core.data.codestream import check_syntax, decode_frame
from core.data.elements import floats_of, integer_of, text_of
from core.data.phantom_dicom import SYNTHETIC_MARK
from core.errors import DicomError, LimitError, NoPixelsError, NotMRError
from core.settings import Settings, load_settings

__all__ = ["InstanceHeader", "looks_like_dicom", "read_header", "read_instance", "read_pixels"]

ATTRIBUTES = (
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "Manufacturer",
    "SeriesDescription",
    "ContrastBolusAgent",
    "ScanningSequence",
    "SequenceName",
    "SliceThickness",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "MagneticFieldStrength",
    "ProtocolName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "ImageComments",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
)
"""The allow-list. Image Comments is only compared with the synthetic mark."""
ALLOWED_TAGS: list[int] = [tag for tag in map(tag_for_keyword, ATTRIBUTES) if tag is not None]

DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
IMPLICIT = "1.2.840.10008.1.2"
NATIVE_SYNTAXES = frozenset({"", IMPLICIT, "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED})
MR_CLASSES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")

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

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceHeader:
    """What one MR image says about itself; nothing that names a person."""

    path: Path
    transfer_syntax: str
    """Transfer Syntax UID (0002,0010); empty where the file has no file meta."""
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    instance_number: int | None
    """Instance Number (0020,0013). It has no spatial meaning."""
    image_type: tuple[str, ...]
    """Image Type (0008,0008), for example ("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")."""
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    """Pixel Representation (0028,0103) is 1."""
    inverted: bool
    """Photometric Interpretation (0028,0004) is MONOCHROME1: small values are bright."""
    slope: float
    intercept: float
    position_mm: Triple | None
    """Image Position (Patient) (0020,0032): centre of the first pixel, LPS millimetres."""
    row_direction: Triple | None
    """First half of Image Orientation (Patient) (0020,0037): the way along a row, a unit vector in LPS."""
    column_direction: Triple | None
    """Second half: the way down a column."""
    pixel_spacing_mm: tuple[float, float] | None
    """Pixel Spacing (0028,0030): between rows, between columns."""
    slice_thickness_mm: float | None
    series_description: str
    protocol_name: str
    sequence_name: str
    scanning_sequence: str
    contrast_agent: str
    repetition_time_ms: float | None
    echo_time_ms: float | None
    inversion_time_ms: float | None
    field_strength_tesla: float | None
    manufacturer: str
    synthetic: bool
    """Written by the phantom (Image Comments (0020,4000) is its mark)."""


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
        _check_kind(dataset, path, has_pixels=bool(found))
        header = _build_header(dataset, path, syntax)
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


def _check_kind(dataset: Dataset, path: Path, *, has_pixels: bool) -> None:
    """Refuse what is not one grey MR image, before anything else is asked of it."""
    modality, sop_class = text_of(dataset, "Modality"), text_of(dataset, "SOPClassUID")
    if not modality and not sop_class and not has_pixels:
        raise DicomError(f"{path.name} is not a DICOM image: it has neither Modality, SOP Class UID nor pixels.")
    if modality != "MR" and (modality or sop_class not in MR_CLASSES):
        raise NotMRError(f"{path.name} has Modality {modality or 'not stated'}; only MR images can be used here.")
    if not has_pixels or not integer_of(dataset, "Rows") or not integer_of(dataset, "Columns"):
        raise NoPixelsError(f"{path.name} is an MR object without pixel data; hand in the images of the series.")
    samples, photometric = integer_of(dataset, "SamplesPerPixel"), text_of(dataset, "PhotometricInterpretation")
    if (samples or 1) != 1 or not photometric.startswith("MONOCHROME"):
        raise DicomError(
            f"{path.name} is a colour picture ({photometric or 'no photometric interpretation'}); MR signal is grey."
        )
    frames = integer_of(dataset, "NumberOfFrames") or 1
    if frames != 1:
        raise DicomError(
            f"{path.name} holds {frames} frames (enhanced or multi-frame MR), which cannot be read yet; "
            "convert it to one file per slice, for example with dcm2niix (NIfTI) or emf2sf."
        )


def _build_header(dataset: Dataset, path: Path, syntax: str) -> InstanceHeader:
    if syntax not in NATIVE_SYNTAXES:
        check_syntax(syntax)

    def number(keyword: str) -> float | None:
        return next(iter(floats_of(dataset, keyword)), None)

    allocated = integer_of(dataset, "BitsAllocated") or 16
    stored = integer_of(dataset, "BitsStored") or allocated
    high_bit = integer_of(dataset, "HighBit")
    position, spacing = floats_of(dataset, "ImagePositionPatient", 3), floats_of(dataset, "PixelSpacing", 2)
    row_direction, column_direction = _directions(floats_of(dataset, "ImageOrientationPatient", 6))
    slope, intercept = number("RescaleSlope"), number("RescaleIntercept")
    high_bit = stored - 1 if high_bit is None else high_bit
    if slope == 0 or not stored - 1 <= high_bit < allocated:
        raise DicomError(
            f"RescaleSlope {slope}, BitsAllocated {allocated}, BitsStored {stored}, HighBit {high_bit} do not fit."
        )
    return InstanceHeader(
        path=path,
        transfer_syntax=syntax,
        sop_instance_uid=text_of(dataset, "SOPInstanceUID"),
        study_uid=text_of(dataset, "StudyInstanceUID"),
        series_uid=text_of(dataset, "SeriesInstanceUID"),
        instance_number=integer_of(dataset, "InstanceNumber"),
        image_type=tuple(part.strip() for part in text_of(dataset, "ImageType").split("\\") if part.strip()),
        rows=integer_of(dataset, "Rows") or 0,
        columns=integer_of(dataset, "Columns") or 0,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        signed=integer_of(dataset, "PixelRepresentation") == 1,
        inverted=text_of(dataset, "PhotometricInterpretation") == "MONOCHROME1",
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        position_mm=(position[0], position[1], position[2]) if position else None,
        row_direction=row_direction,
        column_direction=column_direction,
        pixel_spacing_mm=(spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None,
        slice_thickness_mm=number("SliceThickness"),
        series_description=text_of(dataset, "SeriesDescription"),
        protocol_name=text_of(dataset, "ProtocolName"),
        sequence_name=text_of(dataset, "SequenceName"),
        scanning_sequence=text_of(dataset, "ScanningSequence"),
        contrast_agent=text_of(dataset, "ContrastBolusAgent"),
        repetition_time_ms=number("RepetitionTime"),
        echo_time_ms=number("EchoTime"),
        inversion_time_ms=number("InversionTime"),
        field_strength_tesla=number("MagneticFieldStrength"),
        manufacturer=text_of(dataset, "Manufacturer"),
        synthetic=text_of(dataset, "ImageComments") == SYNTHETIC_MARK,
    )


def _directions(values: tuple[float, ...]) -> tuple[Triple | None, Triple | None]:
    """Split Image Orientation (Patient) into two unit vectors."""
    if not values:
        return None, None
    pair = np.reshape(values, (2, 3))
    lengths = np.linalg.norm(pair, axis=1)
    if np.abs(lengths - 1).max() > 0.01 or abs(pair[0] @ pair[1]) > 0.01:
        raise DicomError(f"ImageOrientationPatient {values} is not two perpendicular unit vectors.")
    row, column = (pair / lengths[:, None]).tolist()
    return (row[0], row[1], row[2]), (column[0], column[1], column[2])


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
