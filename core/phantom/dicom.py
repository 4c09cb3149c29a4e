"""Synthetic series as DICOM files: fictional scanners, complete headers, nothing that says the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from core.data.synthetic import SYNTHETIC_MARK, SYNTHETIC_MARK_KEYWORD
from core.mri import MRSequence, Plane


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """A fictional MR scanner."""

    manufacturer: str
    model: str
    field_tesla: float


SCANNERS = (
    Scanner(manufacturer="Boreal Imaging", model="Aurora 15", field_tesla=1.5),
    Scanner(manufacturer="Meridian Medical", model="Zenith 3", field_tesla=3.0),
    Scanner(manufacturer="Kestrel Systems", model="Talon 3", field_tesla=3.0),
)

TIMES_MS: dict[MRSequence, tuple[float, float, float | None]] = {
    MRSequence.FLAIR: (9000.0, 120.0, 2500.0),
    MRSequence.T1W: (550.0, 9.0, None),
    MRSequence.T1WCE: (600.0, 9.5, None),
    MRSequence.T2W: (4500.0, 98.0, None),
}
"""Typical repetition, echo and inversion time of a spin echo protocol, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHeader:
    """What all files of one series share, apart from the geometry."""

    study_id: str
    sequence: MRSequence
    scanner: Scanner
    study_uid: UID
    series_uid: UID
    frame_uid: UID
    series_number: int
    repetition_ms: float
    echo_ms: float
    inversion_ms: float | None
    signed: bool
    """PixelRepresentation: both occur in the real data."""


def draw_uid(rng: np.random.Generator) -> UID:
    """Draw a UID under the root for UUID-derived ones (2.25): valid without a registration."""
    return UID(f"2.25.{int.from_bytes(rng.bytes(16), 'big') | 1 << 127}")


def draw_header(
    rng: np.random.Generator,
    *,
    study_id: str,
    sequence: MRSequence,
    scanner: Scanner,
    study_uid: UID,
    frame_uid: UID,
    series_number: int,
) -> SeriesHeader:
    """Draw what is left open: the series' UID, its times, and how pixels are stored."""
    repetition, echo, inversion = TIMES_MS[sequence]
    return SeriesHeader(
        study_id=study_id,
        sequence=sequence,
        scanner=scanner,
        study_uid=study_uid,
        series_uid=draw_uid(rng),
        frame_uid=frame_uid,
        series_number=series_number,
        repetition_ms=round(repetition * rng.uniform(0.9, 1.1), 1),
        echo_ms=round(echo * rng.uniform(0.9, 1.1), 1),
        inversion_ms=None if inversion is None else round(inversion * rng.uniform(0.95, 1.05), 1),
        signed=bool(rng.random() < 0.3),
    )


def write_series(
    folder: Path,
    pixels: NDArray[np.uint16],
    header: SeriesHeader,
    *,
    plane: Plane,
    affine: NDArray[np.float64],
    thickness_mm: float,
    rng: np.random.Generator,
) -> None:
    """Write a series as ``Image-<n>.dcm``.

    File numbers and InstanceNumber are both shuffled: as in the real data, only the position tells the order.

    Parameters
    ----------
    folder
        A folder that exists.
    pixels
        (slices, rows, columns), below 32768.
    header
        What the files share.
    plane
        For the description.
    affine
        (4, 4): (slice, row, column, 1) indices to LPS millimetres.
    thickness_mm
        SliceThickness; SpacingBetweenSlices is the affine's.
    rng
        For UIDs and the two orders.
    """
    count = len(pixels)
    dataset = _shared_dataset(header, plane, affine, thickness_mm)
    dataset.Rows, dataset.Columns = pixels.shape[1:]
    level = int(np.percentile(pixels[pixels > 0], 99.5)) if pixels.any() else 1
    dataset.WindowCenter, dataset.WindowWidth = str(level // 2), str(max(level, 1))
    file_numbers, instance_numbers = 1 + rng.permutation(count), 1 + rng.permutation(count)
    normal = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    for index in range(count):
        position = affine[:3, 3] + index * affine[:3, 0]
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = draw_uid(rng)
        dataset.InstanceNumber = int(instance_numbers[index])
        dataset.ImagePositionPatient = _decimals(position)
        dataset.SliceLocation = _decimals([float(position @ normal)])[0]
        dataset.PixelData = pixels[index].astype("<u2").tobytes()
        dataset.save_as(folder / f"Image-{file_numbers[index]}.dcm", enforce_file_format=True)


def _shared_dataset(
    header: SeriesHeader, plane: Plane, affine: NDArray[np.float64], thickness_mm: float
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    row_step, column_step = (float(np.linalg.norm(affine[:3, k])) for k in (1, 2))
    values: dict[str, object] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": ["DERIVED", "SECONDARY"],
        "SOPClassUID": MRImageStorage,
        "StudyDate": "",
        "StudyTime": "",
        "AccessionNumber": header.study_id,
        "Modality": "MR",
        "Manufacturer": header.scanner.manufacturer,
        "ManufacturerModelName": header.scanner.model,
        "ReferringPhysicianName": "",
        "StudyDescription": "Synthetic brain MR",
        "SeriesDescription": f"{header.sequence.value} {plane.value}",
        "PatientName": "",
        "PatientID": header.study_id,
        "PatientBirthDate": "",
        "PatientSex": "",
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "Never a person: made by a program",
        "BodyPartExamined": "BRAIN",
        "ContrastBolusAgent": "fictional" if header.sequence is MRSequence.T1WCE else "",
        "ScanningSequence": ["SE", "IR"] if header.inversion_ms else "SE",
        "SequenceVariant": "SK",
        "ScanOptions": "",
        "MRAcquisitionType": "2D",
        "SliceThickness": _decimals([thickness_mm])[0],
        "SpacingBetweenSlices": _decimals([float(np.linalg.norm(affine[:3, 0]))])[0],
        "RepetitionTime": str(header.repetition_ms),
        "EchoTime": str(header.echo_ms),
        "InversionTime": "" if header.inversion_ms is None else str(header.inversion_ms),
        "EchoTrainLength": 1,
        "MagneticFieldStrength": str(header.scanner.field_tesla),
        "PatientPosition": "HFS",
        "StudyInstanceUID": header.study_uid,
        "SeriesInstanceUID": header.series_uid,
        "StudyID": "",
        "SeriesNumber": header.series_number,
        "ImageOrientationPatient": _decimals([*affine[:3, 2] / column_step, *affine[:3, 1] / row_step]),
        "FrameOfReferenceUID": header.frame_uid,
        "PositionReferenceIndicator": "",
        SYNTHETIC_MARK_KEYWORD: SYNTHETIC_MARK,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelSpacing": _decimals([row_step, column_step]),
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": int(header.signed),
        "RescaleIntercept": "0",
        "RescaleSlope": "1",
        "RescaleType": "US",
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _decimals(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    """Numbers as DICOM decimal strings: at most 16 characters."""
    return [f"{float(value):.9g}" for value in values]
