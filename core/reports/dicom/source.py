"""The instances that an answer rests on, as what is written from them refers to them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.data.formats.dicom import PARSER_ERRORS
from core.data.study import Series
from core.data.volume import Volume, read_volume
from core.errors import ConfigError, DicomError
from core.inference.prediction import Prediction
from core.models.card import CheckpointCard

DicomKind = Literal["sr", "sc", "seg"]
DICOM_KINDS: dict[DicomKind, str] = {
    "sr": "A structured report",
    "sc": "The map as pictures",
    "seg": "The map as a segmentation",
}
INSTALL = "pip install -r requirements-dicom.txt (make app does it)"
REFERENCE = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality"),
    *("Rows", "Columns", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "SpacingBetweenSlices", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""What a reference to an image needs; nothing else of the scan is carried over."""
GEOMETRY = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "FrameOfReferenceUID",
)
"""Where an image lies."""
IDENTITY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyID"),
)
"""Attributes of patient and study that every object must have (type 2): empty, unless a person asks for them."""
REMOVED = "patient and study attributes left out"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceImage:
    """One frame of the scan."""

    header: Dataset
    """:data:`REFERENCE` and :data:`IDENTITY` of its instance."""
    frame: int
    """From 1; of a single-frame instance 1."""
    pixels: NDArray[np.float32]
    """(rows, columns), as stored."""

    @property
    def geometry(self) -> dict[str, Any]:
        """Those of :data:`GEOMETRY` that the instance, or the functional groups of the frame, state."""
        groups = [
            item
            for keyword, number in (
                ("PerFrameFunctionalGroupsSequence", self.frame - 1),
                ("SharedFunctionalGroupsSequence", 0),
            )
            for group in self.header.get(keyword, [])[number : number + 1]
            for name in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
            for item in group.get(name, [])[:1]
        ]
        return {
            keyword: place[keyword].value
            for place in (*groups, self.header)
            for keyword in GEOMETRY
            if place.get(keyword) is not None
        }

    @property
    def orientation(self) -> tuple[str, str]:
        """Where rows and columns run to: the letters of Patient Orientation (0020,0020)."""
        cosines = np.array(self.geometry["ImageOrientationPatient"], float).reshape(2, 3)
        first, second = (
            letters[int(direction[axis] < 0)]
            for direction in cosines
            for axis in [int(np.abs(direction).argmax())]
            for letters in [["LR", "PA", "HF"][axis]]
        )
        return first, second


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceSeries:
    """One series of the scan, as it was read for the answer."""

    series: Series
    volume: Volume
    headers: dict[Path, Dataset]

    def image(self, slice_index: int) -> SourceImage:
        """The instance and frame of a slice of the volume."""
        path, frame = self.volume.instances[slice_index]
        return SourceImage(
            header=self.headers[path], frame=frame + 1, pixels=self.to_stored(self.volume.array[slice_index])
        )

    def to_stored(self, image: NDArray[Any]) -> NDArray[Any]:
        """Turn a slice of the volume (rows, columns, ...) to how it is stored."""
        return image if self.volume.turn is None else np.ascontiguousarray(self.volume.turn.undo(image))


def require_dicom() -> None:
    """Refuse to write DICOM where highdicom is not installed; raises ConfigError."""
    if find_spec("highdicom") is None:
        raise ConfigError(f"Writing DICOM needs highdicom, which is not installed: {INSTALL}.")


def check_source(prediction: Prediction, kinds: Collection[str], *, anyway: bool = False) -> None:
    """Refuse what cannot be written.

    Raises
    ------
    DicomError
        The scan is no DICOM, so that there is nothing to refer to; an image is asked for of a map on a common grid, or of an
        answer that is withheld; or a segmentation of series that state no frame of reference.
    """
    name, images = prediction.study_id, set(kinds) - {"sr"}
    used = [series for part in prediction.series for series in part.together or (part.series,)]
    if any(series.kind != "dicom" for series in used):
        raise DicomError(
            f"Study {name} is no DICOM, so that a result in DICOM would refer to nothing; hand in the scan as DICOM, or write "
            "images alone."
        )
    if images and any(part.together for part in prediction.series):
        raise DicomError(
            f"The map of study {name} lies on a common grid, which is no series of the scan; only the report can be written: "
            "--dicom sr."
        )
    nowhere = [str(series.sequence) for series in used if not series.frame_of_reference_uid]
    if "seg" in kinds and nowhere:
        raise DicomError(
            f"The {', '.join(nowhere)} of study {name} state no Frame of Reference, without which there is no segmentation; "
            "write the report and the pictures: --dicom sr --dicom sc."
        )
    if images and prediction.abstained and not anyway:
        raise DicomError(
            f"The checkpoint abstains on study {name}, so there is no map of its answer ({prediction.reason}); write the report "
            "alone (--dicom sr), or add --anyway, for study."
        )


def read_source(prediction: Prediction, card: CheckpointCard, *, keep_identity: bool) -> list[SourceSeries]:
    """Read the series that an answer rests on, in its order; raises DicomError or another DataError."""
    found = []
    for part in prediction.series:
        for series in part.together or (part.series,):
            volume, _ = read_volume(series, version=card.config.prep.reader_version)
            headers = {
                path: _read_header(path, keep_identity) for path in dict.fromkeys(path for path, _ in volume.instances)
            }
            found.append(SourceSeries(series=series, volume=volume, headers=headers))
    return found


@contextmanager
def dicom_errors(what: str) -> Iterator[None]:
    """Turn what highdicom says of a scan that it cannot describe into a DicomError."""
    try:
        yield
    except PARSER_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        raise DicomError(
            f"{what} cannot be written ({reason or type(error).__name__}); leave this kind out."
        ) from error


def finish(dataset: Dataset, description: str, source: Dataset) -> Dataset:
    """Add what every object of ours says: what it is, and whether the patient's identity was left out; return it."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SeriesDescription, dataset.BodyPartExamined = description, "BRAIN"
    if source.get("PatientIdentityRemoved") == "YES":
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = source.DeidentificationMethod
    return dataset


def _read_header(path: Path, keep_identity: bool) -> Dataset:
    with dicom_errors(f"A reference to {path.name}"):
        whole = dcmread(path, stop_before_pixels=True, force=True)
        header = Dataset()
        for keyword in REFERENCE:
            if keyword in whole:
                setattr(header, keyword, whole[keyword].value)
        for keyword in IDENTITY:
            value = whole.get(keyword) if keep_identity else None
            setattr(header, keyword, "" if value is None else str(value))
        if not keep_identity:
            header.PatientIdentityRemoved, header.DeidentificationMethod = "YES", REMOVED
        elif whole.get("PatientIdentityRemoved") == "YES":
            header.PatientIdentityRemoved = "YES"
            header.DeidentificationMethod = str(whole.get("DeidentificationMethod", "not stated"))[:64]
        return header
