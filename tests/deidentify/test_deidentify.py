"""A de-identified copy holds nothing that was planted, reads as its source, and is resumed."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from core.cli.main import main
from core.data.cohort import scan_cohort
from core.deidentify import cohort as writing
from core.deidentify.attributes import deidentify_dataset
from core.deidentify.cohort import REPORT, Deidentified, deidentify_cohort
from core.deidentify.images import write_nifti, write_picture
from core.deidentify.pseudonyms import Pseudonyms, shift_date
from core.errors import ConfigError, DataError
from core.settings import PROJECT_ROOT, Settings
from tests.data.dicom_files import write_enhanced, write_mr, write_series

KEY = Pseudonyms(b"k" * 32)


@pytest.fixture(scope="module")
def planting() -> ModuleType:
    """What the benchmark plants, searches and compares."""
    sys.path.insert(0, str(PROJECT_ROOT / "benchmarks"))
    try:
        return importlib.import_module("bench_deidentify")
    finally:
        sys.path.pop(0)


def copy(source: Path, out: Path, settings: Settings, **more: Any) -> Deidentified:
    return deidentify_cohort(scan_cohort(source, session="all", jobs=1), out, settings, jobs=1, **more)


@pytest.mark.parametrize("kind", ["dicom", "nifti", "pictures"])
def test_nothing_planted_is_left_and_the_copy_reads_as_its_source(
    planting: ModuleType, tmp_path: Path, settings: Settings, kind: str
) -> None:
    tokens = getattr(planting, f"plant_{kind}")(tmp_path / "in", 2)
    assert tokens == {line.split(" in ")[0] for line in planting.search(tmp_path / "in", tokens)}
    before = planting.digest(tmp_path / "in")
    report = copy(tmp_path / "in", tmp_path / "out", settings, mapping=tmp_path / "mapping.csv")
    assert planting.search(tmp_path / "out", tokens) == []
    assert planting.compare(tmp_path / "in", tmp_path / "out", tmp_path / "mapping.csv") == []
    assert planting.digest(tmp_path / "in") == before
    assert report.persons == 2
    assert not list((settings.home / "deidentify").iterdir()), "the key of a complete copy is gone"


def write_two_studies(root: Path) -> Path:
    stack = np.random.default_rng(0).integers(0, 900, (3, 8, 8)).astype(np.uint16)
    for number, study in enumerate(("Doe_Jane", "Roe_Richard")):
        write_series(root / study / "FLAIR", stack + number, StudyInstanceUID=f"1.2.{number}", PatientID=study)
    return root


def test_an_interrupted_copy_is_resumed_with_the_same_pseudonyms(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_two_studies(tmp_path / "in")
    original, calls = writing.write_dicom, []

    def stop_after_four(*arguments: Any) -> None:
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(arguments)
        original(*arguments)

    monkeypatch.setattr(writing, "write_dicom", stop_after_four)
    with pytest.raises(KeyboardInterrupt):
        copy(source, tmp_path / "out", settings)
    first = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")}
    monkeypatch.setattr(writing, "write_dicom", original)
    report = copy(source, tmp_path / "out", settings)
    assert (report.files, report.already_there) == (6, 4)
    assert all(path.read_bytes() == content for path, content in first.items())
    studies = scan_cohort(tmp_path / "out", jobs=1).studies
    assert [len(study.series[0].files) for study in studies] == [3, 3]
    with pytest.raises(ConfigError, match=r"out is not empty; name a new folder"):
        copy(source, tmp_path / "out", settings)


def test_a_copy_of_a_source_that_has_changed_is_not_resumed(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_two_studies(tmp_path / "in")

    def stop(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "_write_labels", stop)
    with pytest.raises(KeyboardInterrupt):
        copy(source, tmp_path / "out", settings)
    next(source.rglob("*.dcm")).unlink()
    with pytest.raises(ConfigError, match="The source has changed since"):
        copy(source, tmp_path / "out", settings)


@pytest.mark.parametrize(
    ("out", "mapping", "message"),
    [
        ("in/copy", "m.csv", "lie in each other"),
        (".", "m.csv", "lie in each other"),
        ("full", "m.csv", "is not empty"),
        ("out", "out/m.csv", "lies in the copy or in its source"),
        ("out", "in/m.csv", "lies in the copy or in its source"),
        ("out", "full/a", "exists already"),
    ],
)
def test_nothing_is_mixed_with_the_source_or_overwritten(
    tmp_path: Path, settings: Settings, out: str, mapping: str, message: str
) -> None:
    source = write_two_studies(tmp_path / "in")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=message):
        copy(source, tmp_path / out, settings, mapping=tmp_path / mapping)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_not_copied_is_listed_with_its_reason(tmp_path: Path, settings: Settings) -> None:
    source = write_two_studies(tmp_path / "in")
    write_mr(
        source / "Doe_Jane" / "T2w" / "a.dcm", BurnedInAnnotation="YES", PatientID="Doe_Jane", StudyInstanceUID="1.2.0"
    )
    (source / "Doe_Jane" / "report.pdf").write_bytes(b"%PDF Doe")
    report = copy(source, tmp_path / "out", settings)
    reasons = {fault.path: fault.reason for fault in report.not_copied}
    assert set(reasons) == {"Doe_Jane/T2w/a.dcm", "Doe_Jane/report.pdf"}
    assert "burned into" in reasons["Doe_Jane/T2w/a.dcm"]
    assert any("1 files were left out because text may be burned" in warning for warning in report.warnings)
    assert json.loads((tmp_path / "out" / REPORT).read_text()) == {"studies": 2, "persons": 2, "files": 6, "labels": 0}


def test_uids_stay_equal_where_they_were_and_days_keep_their_distance(tmp_path: Path) -> None:
    first, second = Dataset(), Dataset()
    for number, dataset in enumerate((first, second)):
        dataset.SOPInstanceUID, dataset.FrameOfReferenceUID = f"1.2.{number}", "1.2.9"
        dataset.StudyDate, dataset.AcquisitionDateTime = f"2020022{8 + number}", f"2020022{8 + number}101500.5"
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        reference = Dataset()
        reference.ReferencedSOPInstanceUID = "1.2.0"
        dataset.ReferencedImageSequence = Sequence([reference])
    one, two = (deidentify_dataset(dataset, "p", "00001", "FLAIR", KEY) for dataset in (first, second))
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID != "1.2.9"
    assert two.ReferencedImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID != two.SOPInstanceUID
    assert one.SOPClassUID == "1.2.840.10008.5.1.4.1.1.4", "what DICOM defines stays"
    days = KEY.shift_days("p")
    assert (one.StudyDate, two.StudyDate) == (shift_date("20200228", days), shift_date("20200229", days))
    assert two.AcquisitionDateTime == two.StudyDate + "101500.5"
    assert -3650 <= days <= -1
    assert KEY.shift_days("q") != days
    assert first.SOPInstanceUID == "1.2.0", "the original is as it was"


def test_text_that_the_profile_does_not_know_goes_and_a_name_in_a_kept_text_too() -> None:
    dataset = Dataset()
    dataset.PatientName, dataset.SequenceName, dataset.PulseSequenceName = "Lovelace^Ada", "*tir2d", "lovelace1"
    dataset.ScanOptions, dataset.EchoTime, dataset.SeriesDescription = "LOVELACE", 80, "FLAIR Lovelace"
    dataset.PatientBirthDate, dataset.AcquisitionTime, dataset.InterpretationTime = "18151210", "101500", "111500"
    found = deidentify_dataset(dataset, "p", "00001", "FLAIR", KEY)
    assert (found.SequenceName, found.EchoTime, found.SeriesDescription) == ("*tir2d", 80, "FLAIR")
    assert (found.PatientName, found.PatientBirthDate, found.AcquisitionTime) == ("00001", "", "101500")
    assert not {"PulseSequenceName", "ScanOptions", "InterpretationTime"} & set(found.dir())
    assert "lovelace" not in str(found).lower()


def test_an_enhanced_object_keeps_its_geometry(tmp_path: Path, settings: Settings) -> None:
    stack = np.random.default_rng(0).integers(0, 900, (4, 8, 8)).astype(np.uint16)
    write_enhanced(tmp_path / "in" / "00001" / "FLAIR" / "a.dcm", stack)
    copy(tmp_path / "in", tmp_path / "out", settings)
    before, after = (next(scan_cohort(root, jobs=1).series) for root in (tmp_path / "in", tmp_path / "out"))
    assert (after.spacing_mm, after.slice_total, after.plane) == (before.spacing_mm, before.slice_total, before.plane)
    assert (dcmread(after.files[0]).pixel_array == stack).all()


def test_a_picture_of_many_pages_is_left_out_and_deep_ones_keep_their_values(
    tmp_path: Path, settings: Settings
) -> None:
    grey = Image.new("L", (8, 8))
    grey.save(tmp_path / "a.tif", save_all=True, append_images=[grey])
    with pytest.raises(DataError, match=r"a\.tif has several pages"):
        write_picture(tmp_path / "a.tif", tmp_path / "b.png", settings)
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(deep).save(tmp_path / "deep.png")
    write_picture(tmp_path / "deep.png", tmp_path / "out.png", settings)
    with Image.open(tmp_path / "out.png") as image:
        assert (np.asarray(image) == deep).all()


def test_the_command_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MGMT_LAB_HOME", str(tmp_path / "home"))
    source = write_two_studies(tmp_path / "in")
    assert main(["deidentify", str(source), "--out", str(tmp_path / "out"), "--jobs", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"out", "studies", "persons", "files", "already_there", "labels", "not_copied", "warnings"} == set(document)
    assert (document["studies"], document["files"], document["not_copied"]) == (2, 6, [])
    assert main(["deidentify", str(source), "--out", str(source / "copy")]) == 2
    assert "lie in each other" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["CS", "DS", "IS", "US", "UL", "SS", "SL", "FL", "FD", "AT", "SV", "UV", "LO", "UN"])
def test_an_attribute_that_the_standard_does_not_know_goes_whatever_its_kind(kind: str) -> None:
    dataset = Dataset()
    for tag in ("00189FFE", "00780010", "00041500"):  # unknown; known as another kind; of a directory
        if (tag, kind) not in {("00780010", "LO"), ("00041500", "CS")}:
            dataset[tag] = RawDataElement(
                Tag(tag), kind, 8, b"SECRETID", 0, is_implicit_VR=False, is_little_endian=True
            )
    found = deidentify_dataset(dataset, "p", "00001", "FLAIR", KEY)
    assert not {Tag(tag) for tag in ("00189FFE", "00780010", "00041500")} & set(found.keys())


@pytest.mark.parametrize(
    ("keyword", "kind", "value"),
    [
        ("RepetitionTime", "DS", b"SECRET"), ("InstanceNumber", "IS", b"SECRET"), ("PixelSpacing", "DS", b"1\\SECRET"),
        ("AcquisitionTime", "TM", b"101500SECRET"), ("StudyTime", "TM", b"SECRET"), ("AcquisitionNumber", "IS", b"4711234"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_written_as_its_kind_is_or_is_an_id_goes(keyword: str, kind: str, value: bytes) -> None:
    dataset = Dataset()
    dataset.PatientID, dataset.EchoTime, dataset.SeriesTime, dataset.SeriesNumber = "4711234", "1.5e2", "1015", 3
    tag = Tag(keyword)
    dataset[tag] = RawDataElement(tag, kind, len(value), value, 0, is_implicit_VR=False, is_little_endian=True)
    found = deidentify_dataset(dataset, "p", "00001", "FLAIR", KEY)
    assert tag not in found
    assert (found.EchoTime, found.SeriesTime, found.SeriesNumber) == (150, "1015", 3)


def test_a_short_name_goes_from_a_kept_text_and_codes_are_not_kept() -> None:
    dataset, code = Dataset(), Dataset()
    dataset.PatientName, dataset.PulseSequenceName, dataset.SequenceName = "Kim^Li", "kim_flair", "*tir2d"
    dataset.ScanningSequence = ["SE", "IR"]
    code.CodeValue = code.CodingSchemeDesignator = "SECRET"
    dataset.ProcedureCodeSequence = Sequence([code])
    found = deidentify_dataset(dataset, "p", "00001", "FLAIR", KEY)
    assert "PulseSequenceName" not in found
    assert (found.SequenceName, found.ScanningSequence) == ("*tir2d", ["SE", "IR"])
    assert "SECRET" not in str(found)


@pytest.mark.parametrize("number", [1, 2])
def test_fields_of_a_nifti_header_that_nobody_reads_are_not_copied(
    tmp_path: Path, settings: Settings, number: int
) -> None:
    array = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
    image = (nibabel.Nifti1Image if number == 1 else nibabel.Nifti2Image)(array, np.diag([1, 2, 3, 1]))
    content = bytearray(image.to_bytes())
    fields = ((32, 4), (56, 12), (96, 12), (124, 24)) if number == 1 else ((80, 24), (192, 48), (525, 15))
    for start, length in fields:
        content[start : start + length] = b"S" * length
    (tmp_path / "a.nii").write_bytes(content)
    write_nifti(tmp_path / "a.nii", tmp_path / "b.nii", None, settings)
    assert b"SSS" not in (tmp_path / "b.nii").read_bytes()
    written = nibabel.load(tmp_path / "b.nii")
    assert (written.affine == image.affine).all()
    assert (np.asanyarray(written.dataobj) == array).all()
