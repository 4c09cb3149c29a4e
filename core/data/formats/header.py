"""The header of one MR image: an allow-list of attributes, checked, as plain values.

Nothing that names a person is on the list, so nothing of the kind can leave this module; a name that somebody typed
into one of the listed texts is taken out of it (:mod:`core.data.redact`).
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydicom.datadict import tag_for_keyword

from core.data.formats.acquisition import Acquisition, agent_of, seconds_of, split_values
from core.data.formats.codestream import check_syntax
from core.data.formats.elements import (
    Elements,
    described_integer,
    described_number,
    floats_of,
    integer_of,
    text_of,
)
from core.data.redact import NAMING_TAGS, Redactor
from core.data.synthetic import SYNTHETIC_MARK
from core.errors import DicomError, NoPixelsError, NotMRError, refusal
from core.files import load_table

_WORDS = load_table(__file__)
ATTRIBUTES = tuple(_WORDS["attributes"])
"""The allow-list. Image Comments is only compared with the synthetic mark; of the two sequences of functional
groups :mod:`core.data.formats.frames` reads the few attributes that it names."""
ALLOWED_TAGS: list[int] = [tag for tag in map(tag_for_keyword, ATTRIBUTES) if tag is not None]
READ_TAGS: list[int] = [*ALLOWED_TAGS, *NAMING_TAGS]
"""The allow-list, and what is compared with its texts and not kept."""

DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
"""Explicit VR Little Endian, the usual transfer syntax."""
NATIVE_SYNTAXES = frozenset({"", IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED})
MR_CLASSES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""Secondary Capture Image Storage, and the root of its multi-frame kinds."""

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
    acquisition: Acquisition
    """What tells the MR sequence; one object for the files of a series."""
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
    field_strength_tesla: float | None
    manufacturer: str
    synthetic: bool
    """Written by the phantom (Image Comments (0020,4000) is its mark)."""
    frame_of_reference_uid: str = ""
    """Frame of Reference UID (0020,0052): positions of two series can be compared where theirs is the same."""
    scanner: str = ""
    """Manufacturer's Model Name (0008,1090)."""
    temporal_positions: int | None = None
    """Number of Temporal Positions (0020,0105)."""
    frame: int = 0
    """Which frame of its file, from 0."""
    frames: int = 1
    """Number of Frames (0028,0008) of its file."""
    identifying: tuple[str, ...] = ()
    """Keywords, never values, of the identifying attributes that the file holds (:mod:`core.data.privacy`)."""
    identity_removed: bool = False
    """Patient Identity Removed (0012,0062) is YES."""
    patient_key: str = field(default="", repr=False)
    """Digest of Patient ID (0010,0020); empty where there is none. It tells patients apart and is never stored."""
    day: int | None = field(default=None, repr=False)
    """Number of the day of Acquisition Date (0008,0022), else of Study Date. It tells sessions apart, likewise."""
    burned_in: bool = False
    """The pixels are said, or must be feared, to carry text: see :func:`is_burned_in`."""


def check_kind(dataset: Elements, path: Path, *, has_pixels: bool) -> None:
    """Refuse anything but a grey MR image, before any other attribute is read."""
    modality, sop_class = text_of(dataset, "Modality").upper(), text_of(dataset, "SOPClassUID")
    if not modality and not sop_class and not has_pixels:
        raise DicomError(refusal("no_image", name=path.name))
    if modality != "MR" and (modality or sop_class not in MR_CLASSES):
        raise NotMRError(refusal("other_modality", name=path.name, modality=modality or "not stated"))
    if not has_pixels or not integer_of(dataset, "Rows") or not integer_of(dataset, "Columns"):
        raise NoPixelsError(refusal("no_pixels", name=path.name))
    samples, photometric = integer_of(dataset, "SamplesPerPixel"), text_of(dataset, "PhotometricInterpretation").upper()
    if (samples or 1) != 1 or (photometric and not photometric.startswith("MONOCHROME")):
        raise DicomError(refusal("colour", name=path.name, found=photometric or f"{samples} samples a pixel"))


def is_burned_in(dataset: Elements) -> bool:
    """Whether text may be burned into the pixels.

    So it is where Burned In Annotation (0028,0301) says YES, and where the object is a secondary capture or a
    screen shot, which does not say NO.
    """
    stated = text_of(dataset, "BurnedInAnnotation").upper()
    kinds = text_of(dataset, "ImageType").upper()
    captured = text_of(dataset, "SOPClassUID").startswith(SECONDARY_CAPTURE) or "SCREEN" in kinds
    return stated == "YES" or (captured and stated != "NO")


def build_header(dataset: Elements, path: Path, syntax: str, identifying: tuple[str, ...] = ()) -> InstanceHeader:
    """Read the allowed attributes of one object into plain values; of several frames, what they share.

    `identifying` are the keywords of the identifying attributes that were found.

    Raises
    ------
    DicomError
        An attribute that does not make sense.
    UnsupportedSyntaxError
        A transfer syntax that no codec here reads.
    """

    def number(keyword: str) -> float | None:
        return next(iter(floats_of(dataset, keyword)), None)

    allocated = integer_of(dataset, "BitsAllocated") or 16
    stored = integer_of(dataset, "BitsStored") or allocated
    high_bit = integer_of(dataset, "HighBit")
    position, spacing = floats_of(dataset, "ImagePositionPatient", 3), floats_of(dataset, "PixelSpacing", 2)
    row_direction, column_direction = directions_of(floats_of(dataset, "ImageOrientationPatient", 6))
    slope, intercept = number("RescaleSlope"), number("RescaleIntercept")
    high_bit = stored - 1 if high_bit is None else high_bit
    frames = integer_of(dataset, "NumberOfFrames") or 1
    redactor = Redactor(dataset, path)
    if syntax not in NATIVE_SYNTAXES:
        check_syntax(syntax, stored)
    if frames < 1:
        raise DicomError(refusal("frame_count", frames=frames))
    if allocated not in (8, 16, 32, 64):
        raise DicomError(refusal("bits", allocated=allocated))
    if slope == 0 or not stored - 1 <= high_bit < allocated:
        stated = f"{1 if slope is None else slope:g}"
        raise DicomError(refusal("bits_misfit", slope=stated, allocated=allocated, stored=stored, high_bit=high_bit))
    return InstanceHeader(
        path=path,
        transfer_syntax=syntax,
        sop_instance_uid=text_of(dataset, "SOPInstanceUID"),
        study_uid=text_of(dataset, "StudyInstanceUID"),
        series_uid=text_of(dataset, "SeriesInstanceUID"),
        instance_number=described_integer(dataset, "InstanceNumber"),
        acquisition=_build_acquisition(dataset, redactor),
        rows=integer_of(dataset, "Rows") or 0,
        columns=integer_of(dataset, "Columns") or 0,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        signed=integer_of(dataset, "PixelRepresentation") == 1,
        inverted=text_of(dataset, "PhotometricInterpretation").upper() == "MONOCHROME1",
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        position_mm=(position[0], position[1], position[2]) if position else None,
        row_direction=row_direction,
        column_direction=column_direction,
        pixel_spacing_mm=(spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None,
        slice_thickness_mm=described_number(dataset, "SliceThickness"),
        field_strength_tesla=described_number(dataset, "MagneticFieldStrength"),
        manufacturer=text_of(dataset, "Manufacturer"),
        scanner=text_of(dataset, "ManufacturerModelName"),
        synthetic=text_of(dataset, "ImageComments") == SYNTHETIC_MARK,
        frame_of_reference_uid=text_of(dataset, "FrameOfReferenceUID"),
        temporal_positions=described_integer(dataset, "NumberOfTemporalPositions"),
        frames=frames,
        identifying=identifying,
        identity_removed=text_of(dataset, "PatientIdentityRemoved").upper() == "YES",
        patient_key=_digest_of(text_of(dataset, "PatientID")),
        day=_day_of(text_of(dataset, "AcquisitionDate")) or _day_of(text_of(dataset, "StudyDate")),
        burned_in=is_burned_in(dataset),
    )


PULSES = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("SE", "GR")}
"""Echo Pulse Sequence (0018,9008) of enhanced MR in the words of Scanning Sequence (0018,0020)."""


def _build_acquisition(dataset: Elements, redactor: Redactor) -> Acquisition:
    """Read what tells the MR sequence; a number that is none counts as not stated."""

    def clean(*keywords: str) -> str:
        return next((text for keyword in keywords if (text := redactor.clean(text_of(dataset, keyword)))), "")

    def capitals(keyword: str) -> str:
        return text_of(dataset, keyword).upper()

    return Acquisition(
        series_description=clean("SeriesDescription"),
        protocol_name=clean("ProtocolName"),
        examination=clean("PerformedProcedureStepDescription", "StudyDescription"),
        sequence_name=clean("SequenceName", "PulseSequenceName"),
        scanning_sequence=split_values(text_of(dataset, "ScanningSequence"))
        or PULSES.get(capitals("EchoPulseSequence"), ()),
        scan_options=split_values(text_of(dataset, "ScanOptions")),
        acquisition_type=capitals("MRAcquisitionType"),
        image_type=split_values(text_of(dataset, "ImageType")),
        complex_component=capitals("ComplexImageComponent"),
        echo_planar=capitals("EchoPlanarPulseSequence") == "YES",
        angiography=capitals("AngioFlag") == "Y",
        acquisition_contrast=capitals("AcquisitionContrast"),
        contrast_agent=agent_of(clean("ContrastBolusAgent")),
        injected_seconds=seconds_of(text_of(dataset, "ContrastBolusStartTime")),
        repetition_time_ms=described_number(dataset, "RepetitionTime"),
        echo_time_ms=described_number(dataset, "EchoTime"),
        inversion_time_ms=described_number(dataset, "InversionTime"),
        flip_angle_deg=described_number(dataset, "FlipAngle"),
        series_number=described_integer(dataset, "SeriesNumber"),
        acquired_seconds=seconds_of(text_of(dataset, "AcquisitionTime")),
    )


@lru_cache(maxsize=256)  # the slices of a series share both
def _digest_of(patient_id: str) -> str:
    return hashlib.sha256(patient_id.upper().encode()).hexdigest()[:16] if patient_id else ""


@lru_cache(maxsize=256)
def _day_of(text: str) -> int | None:
    """Return the number of a day written YYYYMMDD, or with dots or dashes between; None for anything else."""
    digits = text.replace(".", "").replace("-", "")
    with suppress(ValueError):
        return date.fromisoformat(digits).toordinal() if len(digits) == 8 and digits.isdecimal() else None
    return None


@lru_cache(maxsize=256)  # the slices of a series share one
def directions_of(values: tuple[float, ...]) -> tuple[Triple | None, Triple | None]:
    """Split Image Orientation (Patient) into two unit vectors; raises DicomError where it is none."""
    if not values:
        return None, None
    pair = np.reshape(values, (2, 3))
    lengths = np.linalg.norm(pair, axis=1)
    if np.abs(lengths - 1).max() > 0.01 or abs(pair[0] @ pair[1]) > 0.01:
        raise DicomError(refusal("directions", values=", ".join(f"{value:g}" for value in values)))
    row, column = (pair / lengths[:, None]).tolist()
    return (row[0], row[1], row[2]), (column[0], column[1], column[2])
