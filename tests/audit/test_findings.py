"""The report as CSV and JSON, and the words of faults that decide a finding's kind."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGExtended12Bit

from core.audit.findings import KINDS, PLACES_PER_CELL, AuditReport, find
from core.audit.structure import find_structural
from core.data.cohort import scan_cohort
from tests.data.dicom_files import CORONAL, write_mr, write_series

STACK = np.random.default_rng(0).integers(1, 4000, (12, 6, 5)).astype(np.uint16)


def test_the_report_is_json_and_csv() -> None:
    many = [f"file-{number}" for number in range(PLACES_PER_CELL + 5)]
    report = AuditReport(
        findings=(find("unreadable", ["=a.dcm"], "bad,\n file"), find("blank-slices", many, "ends")),
        counted={"studies": 2},
    )
    content = json.loads(json.dumps(report.to_dict()))
    assert content["counts"] == {"error": 1, "warning": 0, "note": 1}
    assert content["counted"] == {"studies": 2}
    assert content["findings"][0] == {
        "kind": "unreadable",
        "severity": "error",
        "where": ["=a.dcm"],
        "message": "bad, file",
        "remedy": KINDS["unreadable"].remedy,
    }
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert rows[0]["where"] == "'=a.dcm"
    assert rows[1]["places"] == str(len(many))
    assert rows[1]["where"].count(";") == PLACES_PER_CELL - 1


def test_every_kind_says_what_to_do() -> None:
    assert all(kind.title and kind.remedy.endswith(".") for kind in KINDS.values())


def test_what_the_scan_says_of_a_fault_decides_its_kind(tmp_path: Path) -> None:
    train = tmp_path / "train"
    paths = write_series(train / "00001" / "FLAIR", STACK)
    paths[6].unlink()
    write_mr(train / "00001/FLAIR/copy.dcm", STACK[0], position=(-10, -20, -30), InstanceNumber=99)
    write_series(train / "00002" / "FLAIR", STACK)
    write_mr(train / "00002/FLAIR/other.dcm", STACK[0], orientation=CORONAL)
    (train / "00002/T1w").mkdir()
    write_series(train / "00003" / "FLAIR", STACK, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(train / "00003" / "T2w", STACK)
    (train / "00003/T2w/broken.dcm").write_bytes(b"nothing of the kind")
    (train / "00004").mkdir()
    found = {(finding.kind, finding.where[0]) for finding in find_structural(scan_cohort(tmp_path, jobs=1))}
    assert {
        ("missing-slices", "train/00001/FLAIR"),
        ("repeated-slice", "train/00001/FLAIR/copy.dcm"),
        ("mixed-series", "train/00002/FLAIR/other.dcm"),
        ("empty-folder", "train/00002/T1w"),
        ("set-aside", "train/00003/FLAIR"),
        ("unreadable", "train/00003/T2w/broken.dcm"),
        ("empty-folder", "train/00004"),
    } <= found


def test_what_cannot_be_read_is_told_by_kind(tmp_path: Path) -> None:
    folder = tmp_path / "00001"
    write_series(folder / "FLAIR", STACK)
    write_mr(folder / "FLAIR/report.dcm", Modality="CT")
    extended = dcmread(write_mr(folder / "FLAIR/extended.dcm", BitsStored=12, HighBit=11))
    extended.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    extended.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    extended.save_as(folder / "FLAIR/extended.dcm")
    huge = dcmread(write_mr(folder / "FLAIR/huge.dcm"))
    huge.Rows = huge.Columns = 65535
    huge.save_as(folder / "FLAIR/huge.dcm")
    (folder / "FLAIR/more.zip").write_bytes(b"PK\x03\x04")
    (folder / "FLAIR/cut.dcm").write_bytes((folder / "FLAIR/Image-1.dcm").read_bytes()[:-9])
    write_series(folder / "mosaic", STACK[:1], ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    for time in range(4):
        write_series(
            folder / "epi", STACK, names=[f"{time}-{n}.dcm" for n in range(len(STACK))], NumberOfTemporalPositions=4
        )
    findings = {finding.where[0]: finding for finding in find_structural(scan_cohort(tmp_path, jobs=1))}
    kinds = {place: finding.kind for place, finding in findings.items() if place.startswith("00001/")}
    assert {
        "00001/FLAIR/report.dcm": "not-mr",
        "00001/FLAIR/extended.dcm": "unsupported-syntax",
        "00001/FLAIR/huge.dcm": "too-large",
        "00001/FLAIR/more.zip": "archive-inside",
        "00001/FLAIR/cut.dcm": "unreadable",
        "00001/mosaic": "set-aside",
        "00001/epi": "set-aside",
    }.items() <= kinds.items()
    assert "1.2.840.10008.1.2.4.51" in findings["00001/FLAIR/extended.dcm"].message


def test_sequences_that_all_lack_are_one_finding_and_empty_folders_no_second(tmp_path: Path) -> None:
    for study in ("00001", "00002"):
        write_series(tmp_path / study / "FLAIR", STACK)
    write_series(tmp_path / "00001" / "T1w", STACK)
    (tmp_path / "00002" / "T1w").mkdir()
    found = [
        finding.where
        for finding in find_structural(scan_cohort(tmp_path, jobs=1))
        if finding.kind == "missing-sequence"
    ]
    assert found == [("00001/T1wCE", "00002/T1wCE"), ("00001/T2w", "00002/T2w")]


def test_file_numbers_in_order_are_no_finding(tmp_path: Path) -> None:
    write_series(tmp_path / "00001" / "FLAIR", STACK)
    write_series(tmp_path / "00002" / "FLAIR", STACK, step_mm=-3)
    write_series(tmp_path / "00003" / "FLAIR", STACK, names=[f"Image-{(5 * n) % 12}.dcm" for n in range(12)])
    found = [finding for finding in find_structural(scan_cohort(tmp_path, jobs=1)) if finding.kind == "file-order"]
    assert [finding.where for finding in found] == [("00003/FLAIR",)]
    assert "1 of 3 series" in found[0].message
