"""The series of one study are recognised together, from headers and sidecars."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from core.data.formats import nifti
from core.data.index.series import scan_series
from core.data.study import Series
from core.errors import DataError
from core.mri import MRSequence
from core.settings import Settings
from tests.data.dicom_files import write_series

STACK = np.random.default_rng(0).integers(1, 4000, (9, 6, 5)).astype(np.uint16)


def write_nifti(path: Path, **fields: object) -> Path:
    nibabel.save(nibabel.Nifti1Image(STACK.astype(np.int16), np.diag([1.0, 1.0, 5.0, 1.0])), path)
    if fields:
        path.with_name(path.name.removesuffix(".nii.gz") + ".json").write_text(json.dumps(fields))
    return path


def scan(folder: Path, settings: Settings) -> tuple[list[Series], list[str]]:
    found = scan_series("1", sorted(path for path in folder.rglob("*") if path.is_file()), folder, settings)
    return list(found.series), [fault.reason for fault in found.faults]


def test_of_two_alike_dicom_series_the_later_is_after_contrast(tmp_path: Path, settings: Settings) -> None:
    for name, number in (("a", 9), ("b", 3)):
        timing = {"RepetitionTime": 500, "EchoTime": 12, "ScanningSequence": "SE"}
        write_series(
            tmp_path / name,
            STACK,
            SeriesInstanceUID=f"1.{number}",
            SeriesDescription="AX T1",
            SeriesNumber=number,
            **timing,
        )
    series, faults = scan(tmp_path, settings)
    assert not faults
    assert [(one.sequence, one.series_uid, one.sequence_confidence) for one in series] == [
        (MRSequence.T1W, "1.3", "guess"),
        (MRSequence.T1WCE, "1.9", "guess"),
    ]
    assert series[1].sequence_reason.endswith("; acquired after the other T1w")


def test_a_sidecar_says_which_of_two_runs_is_after_contrast(tmp_path: Path, settings: Settings) -> None:
    timing = {"RepetitionTime": 0.5, "EchoTime": 0.012, "ScanningSequence": "SE"}
    write_nifti(tmp_path / "sub-1_run-01_T1w.nii.gz", SeriesDescription="T1W_SE", **timing)
    write_nifti(tmp_path / "sub-1_run-02_T1w.nii.gz", SeriesDescription="T1W_SE mdc", **timing)
    series, _ = scan(tmp_path, settings)
    found = {one.files[0].name: (one.sequence, one.sequence_confidence) for one in series}
    assert found == {
        "sub-1_run-01_T1w.nii.gz": (MRSequence.T1W, "certain"),
        "sub-1_run-02_T1w.nii.gz": (MRSequence.T1WCE, "certain"),
    }


def test_a_sidecar_that_cannot_be_read_is_a_fault(tmp_path: Path, settings: Settings) -> None:
    path = write_nifti(tmp_path / "case_T2w.nii.gz")
    (tmp_path / "case_T2w.json").write_text("{")
    found = scan_series("1", [path], tmp_path, settings)
    assert [one.sequence for one in found.series] == [MRSequence.T2W]
    assert found.faults[0].reason.startswith("case_T2w.json cannot be read as JSON")


@pytest.mark.parametrize(
    "name", ["T1_lesion", "FLAIR-label", "FLAIR_roi", "T1wCE_tumor_segmentation", "x_space-T1w_dseg"]
)
def test_a_label_map_named_as_a_scan_is_a_fault(tmp_path: Path, settings: Settings, name: str) -> None:
    write_nifti(tmp_path / f"{name}.nii.gz")
    assert scan(tmp_path, settings) == ([], [f"{name}.nii.gz is a segmentation by its name, not a scan."])


def test_a_stated_sequence_is_for_series_that_say_nothing(tmp_path: Path, settings: Settings) -> None:
    for number, name in enumerate(("ax 4", "DWI", "T1 MAP")):
        write_series(tmp_path / str(number), STACK, SeriesInstanceUID=f"1.{number}", SeriesDescription=name)
    found = scan_series("1", sorted(tmp_path.rglob("*.dcm")), tmp_path, settings, MRSequence.FLAIR)
    assert {one.description: one.sequence for one in found.series} == {
        "ax 4": MRSequence.FLAIR,
        "DWI": MRSequence.UNKNOWN,
        "T1 MAP": MRSequence.UNKNOWN,
    }


@pytest.mark.parametrize(
    ("kind", "intent", "levels", "labels"),
    [
        (np.uint8, 0, 1, True),
        (np.uint8, 0, 4, True),
        (np.float32, 0, 1, True),
        (np.int16, 0, 4, True),
        (np.int16, 1002, 50, True),
        (np.int16, 0, 50, False),
        (np.float32, 0, 50, False),
    ],
)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_label_map_is_told_by_its_voxels_or_its_intent(
    tmp_path: Path, settings: Settings, kind: type, intent: int, levels: int, labels: bool, ending: str
) -> None:
    place = np.indices((40, 40, 12)).sum(axis=0)
    image = nibabel.Nifti1Image((place * levels // 60).astype(kind), np.diag([1.0, 1.0, 5.0, 1.0]))
    image.header["intent_code"] = intent
    nibabel.save(image, tmp_path / f"T1{ending}")
    series, faults = scan(tmp_path, settings)
    reason = f"T1{ending} is a label map by its voxels or its intent code, not a scan."
    assert (len(series), faults) == ((0, [reason]) if labels else (1, []))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_map_that_hardly_compresses_is_a_map_of_labels(tmp_path: Path, settings: Settings, ending: str) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (60, 60, 40)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([1.0, 1.0, 5.0, 1.0])), tmp_path / f"T1{ending}")
    assert not scan(tmp_path, settings)[0]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_masked_or_a_blank_scan_is_no_map_of_labels(tmp_path: Path, settings: Settings, ending: str) -> None:
    masked = np.zeros((60, 60, 40), np.int16)
    masked[20:40, 20:40, 30:39] = 7 * np.arange(9)
    for name, voxels in (("T1", masked), ("T2", np.zeros_like(masked)), ("FLAIR", masked / 200)):
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 5.0, 1.0])), tmp_path / f"{name}{ending}")
    series, faults = scan(tmp_path, settings)
    assert (len(series), faults) == (3, [])


def test_a_scan_is_read_no_further_than_to_its_ninth_value(tmp_path: Path) -> None:
    place = np.arange(128 * 128 * 60).reshape(128, 128, 60)
    for name, voxels in (("scan", place), ("labels", place % 3)):
        path = tmp_path / f"{name}.nii"
        nibabel.save(nibabel.Nifti1Image(voxels.astype(np.int16), np.eye(4)), path)
        path.write_bytes(path.read_bytes()[: 352 + nifti.LOOK_BYTES])
    assert not nifti.is_label_map(tmp_path / "scan.nii")
    with pytest.raises(DataError, match=r"labels\.nii is damaged: its voxels end too early"):
        nifti.is_label_map(tmp_path / "labels.nii")


def test_an_8_bit_scan_stays_a_scan(tmp_path: Path, settings: Settings) -> None:
    image = nibabel.Nifti1Image((STACK // 16).astype(np.uint8), np.diag([1.0, 1.0, 5.0, 1.0]))
    nibabel.save(image, tmp_path / "T1.nii.gz")
    assert [one.sequence for one in scan(tmp_path, settings)[0]] == [MRSequence.T1W]
