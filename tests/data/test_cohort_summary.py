import json
from pathlib import Path

import nibabel
import numpy as np

from core.data.cohort import scan_cohort
from core.data.summary import count_blank_slices, count_slices, describe_cohort
from core.mri import MRSequence
from tests.data.dicom_files import CORONAL, write_series

STACK = np.random.default_rng(0).integers(100, 4000, (4, 6, 5)).astype(np.uint16)


def write_cohort(root: Path) -> Path:
    blank = np.zeros((3, 6, 5), np.uint16)
    write_series(root / "train/00001/FLAIR", np.concatenate([blank, STACK]), Manufacturer="ACME")
    write_series(root / "train/00002/FLAIR", STACK, orientation=CORONAL, step_mm=2.5)
    write_series(root / "train/00002/T1w", STACK)
    (root / "train/00001/FLAIR/broken.dcm").write_text("text")
    (root / "train_labels.csv").write_text("BraTS21ID,MGMT_value\n00001,1\n")
    return root


def test_the_summary_counts_what_is_there(tmp_path: Path) -> None:
    cohort = scan_cohort(write_cohort(tmp_path))
    summary = json.loads(json.dumps(describe_cohort(cohort)))
    assert (summary["studies"], summary["series"], summary["files"], summary["persons"]) == (2, 3, 15, 2)
    assert summary["labels"] == {"0": 0, "1": 1}
    assert summary["unlabelled"] == 1
    assert summary["sequences"] == {"FLAIR": 2, "T1w": 1}
    assert summary["missing"] == {"FLAIR": 0, "T1w": 1, "T1wCE": 2, "T2w": 2}
    assert summary["planes"] == {"axial": 2, "coronal": 1}
    assert summary["planes_by_sequence"] == {"FLAIR": {"axial": 1, "coronal": 1}, "T1w": {"axial": 1}}
    assert summary["slices_per_series"] == {"FLAIR": {"4": 1, "7": 1}, "T1w": {"4": 1}}
    assert {"sequence": "FLAIR", "slices_mm": 2.5, "rows_mm": 1.0, "columns_mm": 1.0, "series": 1} in summary[
        "spacings"
    ]
    assert summary["sizes"] == {"6 x 5": 3}
    assert summary["manufacturers"] == {"ACME": 1, "not stated": 2}
    assert [fault["path"] for fault in summary["unreadable"]] == ["train/00001/FLAIR/broken.dcm"]
    assert summary["layout"] == "rsna"
    assert summary["digest"] == cohort.digest


def test_blank_slices_are_counted_and_a_broken_series_is_borne(tmp_path: Path) -> None:
    cohort = scan_cohort(write_cohort(tmp_path))
    for path in (tmp_path / "train/00002/T1w").iterdir():
        path.write_text("gone bad since")
    seen: list[int] = []
    counts = count_blank_slices(cohort, jobs=1, progress=lambda done, total, what="": seen.append(done))
    assert [(count.study_id, count.sequence, count.slices, count.blank) for count in counts] == [
        ("00001", MRSequence.FLAIR, 7, 3),
        ("00002", MRSequence.FLAIR, 4, 0),
        ("00002", MRSequence.T1W, 0, 0),
    ]
    assert "none of its files can be read" in counts[2].fault
    assert seen == [1, 2, 3]
    assert count_blank_slices(cohort, jobs=2) == counts


def test_the_slices_of_a_nifti_file_are_counted(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.ones((4, 5, 9), np.int16), np.diag([1, 1, 3, 1]))
    (tmp_path / "case").mkdir()
    nibabel.save(image, tmp_path / "case/case-t1n.nii.gz")
    series = scan_cohort(tmp_path)["case"].series[0]
    assert count_slices(series) == 9
    (tmp_path / "case/case-t1n.nii.gz").write_bytes(b"x")
    assert count_slices(series) == 0
