from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from core.data.cohort import scan_cohort
from core.data.formats.dicomdir import read_dicomdir
from core.data.upload import open_scan
from core.errors import DataError, EmptyCohortError, LimitError
from core.settings import Settings
from tests.data.dicom_files import write_series
from tests.data.formats.test_tarball import STACK, sequences

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"


def write_dicomdir(path: Path, names: list[list[str]]) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.9"
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    patient = Dataset()
    patient.DirectoryRecordType, patient.PatientName = "PATIENT", "Doe^Jane"
    records = [patient]
    for name in names:
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", name
        records.append(record)
    dataset.DirectoryRecordSequence = records
    dataset.save_as(path, enforce_file_format=True)
    return path


def medium(folder: Path, extra: tuple[list[str], ...] = ()) -> Path:
    """A medium with one series in a hidden folder, which only the index leads to, its names in lower case."""
    write_series(folder / ".images" / "se1", STACK, names=[f"im{index}" for index in range(4)], SeriesDescription="T2")
    return write_dicomdir(folder / "DICOMDIR", [*([".IMAGES", "SE1", f"IM{index}"] for index in range(4)), *extra])


def test_the_files_it_lists_are_read(tmp_path: Path, settings: Settings) -> None:
    path = medium(tmp_path / "disc")
    for handed in (path, path.parent):
        cohort = open_scan([handed], tmp_path / "work", settings)
        assert list(sequences(cohort).values()) == [[("T2w", 4)]]
        assert not cohort.faults
        assert "Doe" not in str(cohort)


def test_a_broken_reference_is_a_fault_and_none_leads_elsewhere(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "secret.dcm").write_bytes(b"x")
    path = medium(tmp_path / "disc", (["GONE", "IM9"], ["..", "secret.dcm"], ["/etc/passwd"], [""]))
    files, faults = read_dicomdir(path, settings)
    assert len(files) == 4
    assert [fault.path for fault in faults] == ["GONE/IM9", "../secret.dcm", "/etc/passwd"]
    assert all(fault.reason == "listed in DICOMDIR but not there" for fault in faults)
    cohort = open_scan([path], tmp_path / "work", settings)
    assert cohort.faults == faults


def test_a_cohorts_study_reports_what_its_index_lists_in_vain(tmp_path: Path) -> None:
    write_series(tmp_path / "00001" / "FLAIR", STACK)
    write_dicomdir(tmp_path / "00001" / "DICOMDIR", [["FLAIR", "IMAGE-1.DCM"], ["FLAIR", "IMAGE-9.DCM"]])
    cohort = scan_cohort(tmp_path)
    assert [(fault.path, fault.reason) for fault in cohort.faults] == [
        ("00001/FLAIR/IMAGE-9.DCM", "listed in DICOMDIR but not there")
    ]


def test_a_damaged_index_is_named(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "DICOMDIR"
    path.write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    with pytest.raises(DataError, match="DICOMDIR"):
        read_dicomdir(path, settings)
    with pytest.raises(EmptyCohortError, match="DICOMDIR"):
        open_scan([path], tmp_path / "work", settings)
    many = write_dicomdir(path, [["A"]] * (settings.upload_files + 1))
    with pytest.raises(LimitError, match="lists more than"):
        read_dicomdir(many, settings)


def test_a_medium_of_pydicoms_own_is_listed(settings: Settings) -> None:
    files, faults = read_dicomdir(SHIPPED / "DICOMDIR", settings)
    assert len(files) == 31
    assert all(path.is_file() and path.is_relative_to(SHIPPED) for path in files)
    assert not faults
