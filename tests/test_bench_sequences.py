"""The benchmark of the sequences prints what scripts rely on, and takes the truth from names that it does not show."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from core.settings import PROJECT_ROOT
from tests.data.dicom_files import write_mr

SPIN_ECHO = {"ScanningSequence": "SE", "RepetitionTime": 0.5, "EchoTime": 0.012, "MRAcquisitionType": "2D"}
T2 = {"ScanningSequence": "SE", "RepetitionTime": 4.0, "EchoTime": 0.1}
FLAIR = {"ScanningSequence": "IR", "RepetitionTime": 9.0, "EchoTime": 0.1, "InversionTime": 2.5}


def measure(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "benchmarks/bench_sequences.py", str(folder), "--json", "--wrong"]
    document: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=PROJECT_ROOT))
    return document


def test_sidecars_of_two_sites(tmp_path: Path) -> None:
    for subject, after in (("AA1", "T1 mdc"), ("AA2", "T1 mdc"), ("B1", "T1")):
        for name, fields in {
            "run-01_T1w": {**SPIN_ECHO, "SeriesDescription": "T1", "AcquisitionTime": "10:00:00"},
            "run-02_T1w": {**SPIN_ECHO, "SeriesDescription": after, "AcquisitionTime": "10:20:00"},
            "T2w": {**T2, "SeriesDescription": "T1" if subject == "AA2" else "T2"},
            "FLAIR": {**FLAIR, "SeriesDescription": "FLAIR"},
            "dwi": {"ScanningSequence": "EP", "SeriesDescription": "T2"},
        }.items():
            path = tmp_path / f"sub-{subject}" / "anat" / f"sub-{subject}_{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(fields))
    found = measure(tmp_path)
    assert found["FLAIR"] == found["T1w"] == found["T1wCE"] == found["other"] == {"n": 3, "right": 3}
    assert found["T2w"] == {"n": 3, "right": 2}
    assert (found["certain"], found["certain_wrong"]) == (9, 0)
    assert found["sites"]["B"]["T1wCE"] == {"n": 1, "right": 1}
    assert found["ablations"]["without order and times"]["T1wCE"] == {"n": 3, "right": 2}
    assert found["ablations"]["without T1w"]["T1w"] == {"n": 0, "right": 0}


def test_a_folder_of_dicom(tmp_path: Path) -> None:
    write_mr(tmp_path / "1" / "T1wCE" / "a.dcm", SeriesDescription="AX T1 +GD")
    write_mr(tmp_path / "1" / "T2w" / "a.dcm", SeriesDescription="AX FLAIR")
    found = measure(tmp_path)
    assert (found["T1wCE"], found["T2w"], found["FLAIR"]) == (
        {"n": 1, "right": 1},
        {"n": 1, "right": 0},
        {"n": 0, "right": 0},
    )


def test_a_lone_second_run_stays_the_one_after_contrast(tmp_path: Path) -> None:
    path = tmp_path / "sub-AA1" / "anat" / "sub-AA1_run-02_T1w.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**SPIN_ECHO, "SeriesDescription": "T1 mdc"}))
    assert measure(tmp_path)["T1wCE"] == {"n": 1, "right": 1}
