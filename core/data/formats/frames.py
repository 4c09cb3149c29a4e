"""The frames of one enhanced (multi-frame) MR object: a header for each, from its functional groups.

An enhanced object states what its frames share in Shared Functional Groups (5200,9229) and what differs in
Per-frame Functional Groups (5200,9230), one item a frame (DICOM PS3.3 C.7.6.16); a macro stands in one of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from core.data.formats.acquisition import split_values
from core.data.formats.elements import described_number, floats_of, text_of
from core.data.formats.header import InstanceHeader, directions_of
from core.errors import DicomError, refusal

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"


def has_functional_groups(dataset: Dataset) -> bool:
    """Whether an object describes its frames in functional groups."""
    return PER_FRAME in dataset or SHARED in dataset


def split_frames(dataset: Dataset, header: InstanceHeader) -> tuple[InstanceHeader, ...]:
    """Return the header of every frame.

    Parameters
    ----------
    dataset
        The object, without its pixels.
    header
        What :func:`core.data.formats.header.build_header` made of its top level.

    Raises
    ------
    DicomError
        Several frames without functional groups (what each frame is cannot be known), or not one item a frame.
    """
    if not has_functional_groups(dataset):
        if header.frames == 1:
            return (header,)
        raise DicomError(refusal("frames_unplaced", name=header.path.name, frames=header.frames))
    shared = _items(dataset, SHARED)[:1]
    items = _items(dataset, PER_FRAME)
    if len(items) != header.frames and (items or header.frames > 1):
        raise DicomError(
            refusal("frames_miscounted", name=header.path.name, frames=header.frames, described=len(items))
        )
    own = [[item] for item in items] or [[]]
    return tuple(_frame_header([*item, *shared], header, number) for number, item in enumerate(own))


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    value = dataset[keyword].value if keyword in dataset else None
    return list(value) if isinstance(value, DicomSequence) else []


def _frame_header(groups: Sequence[Dataset], header: InstanceHeader, number: int) -> InstanceHeader:
    """Overlay one frame's macros on what the object's top level says."""

    def floats(macro: str, keyword: str, count: int | None = None) -> tuple[float, ...]:
        found = _macro(groups, macro)
        return floats_of(found, keyword, count) if found is not None else ()

    changes: dict[str, Any] = {"frame": number}
    told: dict[str, Any] = {}
    position = floats("PlanePositionSequence", "ImagePositionPatient", 3)
    if position:
        changes["position_mm"] = position
    directions = directions_of(floats("PlaneOrientationSequence", "ImageOrientationPatient", 6))
    if None not in directions:
        changes["row_direction"], changes["column_direction"] = directions
    spacing = floats("PixelMeasuresSequence", "PixelSpacing", 2)
    if spacing and min(spacing) > 0:
        changes["pixel_spacing_mm"] = spacing
    for field, keyword in (("slope", "RescaleSlope"), ("intercept", "RescaleIntercept")):
        values = floats("PixelValueTransformationSequence", keyword)
        if values:
            changes[field] = values[0]
    for target, field, macro, keyword in (
        (changes, "slice_thickness_mm", "PixelMeasuresSequence", "SliceThickness"),
        (told, "repetition_time_ms", "MRTimingAndRelatedParametersSequence", "RepetitionTime"),
        (told, "flip_angle_deg", "MRTimingAndRelatedParametersSequence", "FlipAngle"),
        (told, "echo_time_ms", "MREchoSequence", "EffectiveEchoTime"),
        (told, "inversion_time_ms", "MRModifierSequence", "InversionTimes"),
    ):
        found = _macro(groups, macro)
        value = described_number(found, keyword) if found is not None else None
        if value is not None:
            target[field] = value
    if changes.get("slope") == 0:
        raise DicomError(f"{header.path.name}: the RescaleSlope of frame {number + 1} is 0.")
    kind = _macro(groups, "MRImageFrameTypeSequence")
    if kind is not None:
        said = {
            "image_type": split_values(text_of(kind, "FrameType")),
            "complex_component": text_of(kind, "ComplexImageComponent").upper(),
            "acquisition_contrast": text_of(kind, "AcquisitionContrast").upper(),
        }
        told |= {field: value for field, value in said.items() if value}
    return replace(header, acquisition=replace(header.acquisition, **told), **changes)


def _macro(groups: Sequence[Dataset], keyword: str) -> Dataset | None:
    """Return a macro's one item, of the frame itself before what all frames share."""
    return next((items[0] for group in groups if (items := _items(group, keyword))), None)
