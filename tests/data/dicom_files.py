"""MR files written with pydicom, for the tests of what reads them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
DEFLATED = "1.2.840.10008.1.2.1.99"


def write_mr(
    path: Path,
    pixels: NDArray[Any] | None = None,
    *,
    position: Sequence[float] | None = (0, 0, 0),
    orientation: Sequence[float] | None = AXIAL,
    syntax: str = ExplicitVRLittleEndian,
    **attributes: Any,
) -> Path:
    """Write one MR image; `attributes` are DICOM keywords, None leaves one out."""
    pixels = np.arange(20, dtype=np.uint16).reshape(4, 5) if pixels is None else pixels
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    bits = pixels.dtype.itemsize * 8
    values: dict[str, Any] = {
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": generate_uid(),
        "Modality": "MR",
        "PatientName": "Doe^Jane",
        "PatientID": "secret-id",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "PixelSpacing": [1.0, 1.0],
        "SliceThickness": 2.0,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "ImagePositionPatient": None if position is None else [float(value) for value in position],
        "ImageOrientationPatient": None if orientation is None else [float(value) for value in orientation],
        "PixelData": pixels.tobytes() + b"\0" * (pixels.nbytes % 2),
        **attributes,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset and bits == 8:
        dataset["PixelData"].VR = "OB"
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    array: NDArray[Any],
    *,
    orientation: Sequence[float] = AXIAL,
    step_mm: float = 3.0,
    origin: Sequence[float] = (-10, -20, -30),
    names: Sequence[str] | None = None,
    **attributes: Any,
) -> list[Path]:
    """Write (slices, rows, columns) as one file per slice, `step_mm` apart along the normal; a negative step descends."""
    directions = np.reshape(orientation, (2, 3))
    normal = np.cross(directions[0], directions[1])
    names = names or [f"Image-{index + 1}.dcm" for index in range(len(array))]
    return [
        write_mr(
            folder / name,
            pixels,
            position=np.array(origin) + index * step_mm * normal,
            orientation=orientation,
            InstanceNumber=index + 1,
            **attributes,
        )
        for index, (name, pixels) in enumerate(zip(names, array, strict=True))
    ]


def write_deflated_bomb(path: Path, inflated_bytes: int) -> Path:
    """Write a deflated DICOM file of a few kilobytes whose private element inflates to so many bytes."""
    write_mr(path, syntax=DEFLATED, PixelData=b"\0" * 40)
    content = path.read_bytes()
    body = content.index(DEFLATED.encode()) + len(DEFLATED) + len(DEFLATED) % 2
    head = struct.pack("<HH2sHI", 0x0009, 0x0010, b"OB", 0, inflated_bytes)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(head)
    chunk = b"\0" * 2**20
    for _ in range(inflated_bytes // len(chunk)):
        packed += deflate.compress(chunk)
    path.write_bytes(content[:body] + packed + deflate.flush())
    return path


def write_enhanced(
    path: Path,
    array: NDArray[Any],
    *,
    orientation: Sequence[float] = AXIAL,
    step_mm: float = 3.0,
    slopes: Sequence[float] | None = None,
    shared: bool = True,
    **attributes: Any,
) -> Path:
    """Write (slices, rows, columns) as one enhanced MR object, its frames in the order of the array.

    What frames have in common stands in the shared functional groups, or with `shared` False in those of each frame.
    """
    directions = np.reshape(orientation, (2, 3))
    normal = np.cross(directions[0], directions[1])
    common = {
        "PlaneOrientationSequence": {"ImageOrientationPatient": list(orientation)},
        "PixelMeasuresSequence": {"PixelSpacing": [0.5, 0.25], "SliceThickness": 2.0},
        "MREchoSequence": {"EffectiveEchoTime": 98.5},
        "MRTimingAndRelatedParametersSequence": {"RepetitionTime": 4500.0},
    }
    frames = [
        {
            "PlanePositionSequence": {
                "ImagePositionPatient": [float(v) for v in (-10, -20, -30) + step_mm * index * normal]
            }
        }
        | (
            {"PixelValueTransformationSequence": {"RescaleSlope": slopes[index], "RescaleIntercept": 1.0}}
            if slopes
            else {}
        )
        | ({} if shared else common)
        for index in range(len(array))
    ]
    values: dict[str, Any] = {
        "SOPClassUID": EnhancedMRImageStorage,
        "NumberOfFrames": len(array),
        "PixelSpacing": None,
        "SliceThickness": None,
        "SharedFunctionalGroupsSequence": [_macros(common if shared else {})],
        "PerFrameFunctionalGroupsSequence": [_macros(frame) for frame in frames],
        "PixelData": array.tobytes(),
        **attributes,
    }
    return write_mr(path, array[0], position=None, orientation=None, **values)


def _macros(content: dict[str, dict[str, Any]]) -> Dataset:
    group = Dataset()
    for macro, values in content.items():
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        setattr(group, macro, [item])
    return group
