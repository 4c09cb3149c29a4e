"""Faults planted in a synthetic cohort, each in a known place, so that an audit can be put to the test.

What was planted where is written to ``faults.json``, in the words of :mod:`core.audit`.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.files import read_document
from core.phantom.fields import random_stream

FAULT_FILE = "faults.json"
STREAM_INDEX = 2**31 + 2
LOST_LABEL = "09999"
"""An id that no synthetic study has: they begin at 10000."""

Planted = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cohort:
    """The cohort in the making."""

    root: Path
    rng: np.random.Generator

    def slices(self, study: str, sequence: str) -> list[Path]:
        """A series' files in spatial order."""

        def place(path: Path) -> float:
            header = dcmread(path, stop_before_pixels=True)
            first, second = np.reshape(np.array(header.ImageOrientationPatient, float), (2, 3))
            return float(np.cross(first, second) @ np.array(header.ImagePositionPatient, float))

        return sorted((self.root / "train" / study / sequence).iterdir(), key=place)

    def shown(self, study: str, sequence: str) -> list[Path]:
        """The files in spatial order that show at least half as much as the fullest."""
        files = self.slices(study, sequence)
        tissue = [int((_pixels(path) > 0).sum()) for path in files]
        return [path for path, count in zip(files, tissue, strict=True) if count > max(tissue) / 2]

    def name(self, *paths: Path) -> tuple[str, ...]:
        """Files as findings name them."""
        return tuple(str(path.relative_to(self.root)) for path in paths)


def plant_faults(root: Path, seed: int) -> list[Planted]:
    """Spoil a synthetic cohort in place and write down what was planted where.

    Parameters
    ----------
    root
        The cohort's folder, whole, with at least 24 studies of 8 slices.
    seed
        Decides which studies are spoilt.

    Returns
    -------
    list
        (kind, where) of each fault, as an audit's findings have them.
    """
    rng = random_stream(seed, STREAM_INDEX, "faults")
    studies = sorted(path.name for path in (root / "train").iterdir() if path.is_dir())
    victims = [studies[number] for number in rng.permutation(len(studies))]
    cohort = _Cohort(root=root, rng=rng)
    planted: list[Planted] = []
    for plant in _PLANTERS:
        planted.append(plant(cohort, victims))
    content = [{"kind": kind, "where": list(where)} for kind, where in planted]
    (root / FAULT_FILE).write_text(json.dumps(content, indent=2) + "\n")
    return planted


def read_planted(root: Path) -> list[Planted]:
    """Read what was planted in a synthetic cohort; nothing where no faults were asked for."""
    if not (root / FAULT_FILE).is_file():
        return []
    return [(entry["kind"], tuple(entry["where"])) for entry in read_document(root / FAULT_FILE)]


def _missing_sequence(cohort: _Cohort, victims: list[str]) -> Planted:
    study = victims.pop()
    shutil.rmtree(cohort.root / "train" / study / "T2w")
    return "missing-sequence", (f"{study}/T2w",)


def _empty_folder(cohort: _Cohort, victims: list[str]) -> Planted:
    folder = cohort.root / "train" / victims.pop() / "FLAIR"
    for path in folder.iterdir():
        path.unlink()
    return "empty-folder", cohort.name(folder)


def _missing_slices(cohort: _Cohort, victims: list[str]) -> Planted:
    shown = cohort.shown(victims.pop(), "T1w")
    shown[len(shown) // 2].unlink()
    return "missing-slices", cohort.name(shown[0].parent)


def _repeated_slice(cohort: _Cohort, victims: list[str]) -> Planted:
    source = cohort.shown(victims.pop(), "FLAIR")[0]
    copy = source.with_name("Image-9999.dcm")
    shutil.copy2(source, copy)
    return "repeated-slice", cohort.name(copy)


def _unreadable(cohort: _Cohort, victims: list[str]) -> Planted:
    path = cohort.slices(victims.pop(), "T1wCE")[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return "unreadable", cohort.name(path)


def _mixed_series(cohort: _Cohort, victims: list[str]) -> Planted:
    path = cohort.slices(victims.pop(), "T2w")[-1]
    _change(path, _turn)
    return "mixed-series", cohort.name(path)


def _mixed_planes(cohort: _Cohort, victims: list[str]) -> Planted:
    """Turn one series, unless the study has several planes already."""
    study = victims.pop()
    planes = set()
    for sequence in ("FLAIR", "T1w", "T1wCE", "T2w"):
        planes.add(_plane(cohort.slices(study, sequence)[0]))
    if len(planes) == 1:
        for path in cohort.slices(study, "FLAIR"):
            _change(path, _turn)
    return "mixed-planes", (study,)


def _file_order(cohort: _Cohort, victims: list[str]) -> Planted:
    """Every synthetic series has shuffled file numbers; this one is known to."""
    return "file-order", (f"{victims.pop()}/T1w",)


def _blank_series(cohort: _Cohort, victims: list[str]) -> Planted:
    study = victims.pop()
    for path in cohort.slices(study, "T1wCE"):
        _change(path, _blank)
    return "blank-series", (f"{study}/T1wCE",)


def _blank_inside(cohort: _Cohort, victims: list[str]) -> Planted:
    shown = cohort.shown(victims.pop(), "T2w")
    _change(shown[len(shown) // 2], _blank)
    return "blank-inside", cohort.name(shown[len(shown) // 2])


def _blank_slices(cohort: _Cohort, victims: list[str]) -> Planted:
    path = cohort.slices(victims.pop(), "T1w")[0]
    _change(path, _blank)
    return "blank-slices", cohort.name(path)


def _duplicate_within(cohort: _Cohort, victims: list[str]) -> Planted:
    shown = cohort.shown(victims.pop(), "FLAIR")
    _copy_pixels(shown[0], shown[-1])
    return "duplicate-within-patient", cohort.name(shown[0], shown[-1])


def _near_within(cohort: _Cohort, victims: list[str]) -> Planted:
    shown = cohort.shown(victims.pop(), "T1w")
    _copy_pixels(shown[0], shown[-1], lambda pixels: np.rint(pixels * 0.75).astype(np.uint16))
    return "near-duplicate-within-patient", cohort.name(shown[0], shown[-1])


def _duplicate_between(cohort: _Cohort, victims: list[str]) -> Planted:
    source, target = _two_of_one_plane(cohort, victims, "T1wCE")
    _copy_pixels(source, target)
    return "duplicate-between-patients", cohort.name(source, target)


def _near_between(cohort: _Cohort, victims: list[str]) -> Planted:
    """Copy a slice as another programme would have saved it: scaled, with a gamma and rounding noise."""
    source, target = _two_of_one_plane(cohort, victims, "T2w")

    def save_again(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        shares = pixels / pixels.max()
        noise = cohort.rng.normal(0, 2, pixels.shape) * (pixels > 0)
        return np.clip(np.rint(255 * shares**0.9 + noise), 0, 255).astype(np.uint16)

    _copy_pixels(source, target, save_again)
    return "near-duplicate-between-patients", cohort.name(source, target)


def _same_patient(cohort: _Cohort, victims: list[str]) -> Planted:
    """Put one patient's scans in the place of another's, under that one's id and UIDs of its own."""
    study, other = sorted((victims.pop(), victims.pop()))
    for sequence in ("FLAIR", "T1w", "T1wCE", "T2w"):
        folder = cohort.root / "train" / other / sequence
        shutil.rmtree(folder)
        shutil.copytree(cohort.root / "train" / study / sequence, folder)
        for path in folder.iterdir():
            _change(path, lambda dataset: _rename(dataset, other))
    return "same-patient", (study, other)


def _spacing(cohort: _Cohort, victims: list[str]) -> Planted:
    study = victims.pop()

    def widen(dataset: Dataset) -> None:
        dataset.PixelSpacing = [f"{float(value) * 10:.9g}" for value in dataset.PixelSpacing]

    for path in cohort.slices(study, "FLAIR"):
        _change(path, widen)
    return "spacing-outlier", (f"{study}/FLAIR",)


def _intensity(cohort: _Cohort, victims: list[str]) -> Planted:
    study = victims.pop()
    for path in cohort.slices(study, "T2w"):
        _change(path, lambda dataset: setattr(dataset, "RescaleSlope", "1000"))
    return "intensity-outlier", (f"{study}/T2w",)


def _unlabelled(cohort: _Cohort, victims: list[str]) -> Planted:
    study = victims.pop()
    _edit_labels(cohort.root, lambda rows: [row for row in rows if row[0] != study])
    return "study-without-label", (study,)


def _orphan_label(cohort: _Cohort, victims: list[str]) -> Planted:
    _edit_labels(cohort.root, lambda rows: [*rows, [LOST_LABEL, "1"]])
    return "label-without-study", (LOST_LABEL,)


_PLANTERS: tuple[Callable[[_Cohort, list[str]], Planted], ...] = (
    _duplicate_between,
    _near_between,
    _missing_sequence,
    _empty_folder,
    _missing_slices,
    _repeated_slice,
    _unreadable,
    _mixed_series,
    _mixed_planes,
    _file_order,
    _blank_series,
    _blank_inside,
    _blank_slices,
    _duplicate_within,
    _near_within,
    _same_patient,
    _spacing,
    _intensity,
    _unlabelled,
    _orphan_label,
)


def _change(path: Path, change: Callable[[Dataset], None]) -> None:
    dataset = dcmread(path)
    change(dataset)
    dataset.save_as(path, enforce_file_format=True)


def _pixels(path: Path) -> NDArray[np.uint16]:
    dataset = dcmread(path)
    return np.frombuffer(dataset.PixelData, dtype="<u2").reshape(dataset.Rows, dataset.Columns)


def _copy_pixels(
    source: Path, target: Path, alter: Callable[[NDArray[np.uint16]], NDArray[np.uint16]] = lambda pixels: pixels
) -> None:
    """Give one file the pixels of another, altered; its header stays."""
    content = alter(_pixels(source)).astype("<u2").tobytes()

    def replace_pixels(dataset: Dataset) -> None:
        dataset.PixelData = content

    _change(target, replace_pixels)


def _blank(dataset: Dataset) -> None:
    dataset.PixelData = bytes(len(dataset.PixelData))


def _turn(dataset: Dataset) -> None:
    """Turn an image from one plane to the next: the patient's axes change places."""
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
        values = np.reshape(np.array(dataset[keyword].value, float), (-1, 3))
        setattr(dataset, keyword, [f"{value:.9g}" for value in np.roll(values, 1, axis=1).ravel()])


def _plane(path: Path) -> int:
    first, second = np.reshape(np.array(dcmread(path).ImageOrientationPatient, float), (2, 3))
    return int(np.argmax(np.abs(np.cross(first, second))))


def _rename(dataset: Dataset, study: str) -> None:
    dataset.PatientID = dataset.AccessionNumber = study
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        value = str(dataset[keyword].value)
        setattr(dataset, keyword, value[:-5] + study)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _two_of_one_plane(cohort: _Cohort, victims: list[str], sequence: str) -> tuple[Path, Path]:
    """Take two studies and return a slice of each: pixels copied between planes would be turned on reading."""
    one = victims.pop()
    plane = _plane(cohort.slices(one, sequence)[0])
    other = next(study for study in reversed(victims) if _plane(cohort.slices(study, sequence)[0]) == plane)
    victims.remove(other)
    first, second = (cohort.shown(study, sequence) for study in (one, other))
    return first[len(first) // 2], second[len(second) // 2]


def _edit_labels(root: Path, edit: Callable[[list[list[str]]], list[list[str]]]) -> None:
    path = root / "train_labels.csv"
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *edit(rows)])
