"""What a file is, its content says; what is packed or a document is named so, and not taken for a damaged scan."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.cohorts.adapter import list_folders
from core.data.formats.discovery import detect_kind, walk_files
from core.data.index.layout import detect_layout, subfolders
from core.data.index.series import scan_series
from core.settings import Settings
from tests.data.dicom_files import write_mr


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("gradients.xlsx", "[Content_Types].xml"),
        ("gradients.XLSM", "xl/workbook.xml"),
        ("report.docx", "word/document.xml"),
        ("bundle.trx", "header.json"),
        ("arrays.npz", "arr_0.npy"),
        ("a table without an ending", "_rels/.rels"),
        ("slides.odp", "mimetype"),
    ],
)
def test_a_document_is_no_archive_of_scans(tmp_path: Path, settings: Settings, name: str, member: str) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr(member, "{}")
    assert detect_kind(tmp_path / name) is None
    assert not scan_series("1", [tmp_path / name], tmp_path, settings).faults


def test_a_zip_of_scans_is_an_archive_whatever_its_name(tmp_path: Path) -> None:
    for name in ("a.zip", "a", "a.download"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("00001/FLAIR/Image-1.dcm", "x")
        assert detect_kind(tmp_path / name) == "archive"


def test_a_packed_scan_is_named_with_what_to_do(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    write_mr(tmp_path / "a.dcm")
    Image.fromarray(np.full((4, 4), 90, np.uint8)).save(tmp_path / "a.png")
    for name in ("a.dcm", "a.png"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    (folder / "T1w.nii.bz2").write_bytes(b"BZh9")
    (folder / "notes.txt.gz").write_bytes(gzip.compress(b"read me"))
    assert detect_layout(tmp_path).name == "rsna"
    faults = scan_series("1", sorted(folder.iterdir()), folder, settings).faults
    assert {fault.path: fault.reason for fault in faults} == {
        name: f"{name} is a packed scan among the scans; unpack it." for name in ("T1w.nii.bz2", "a.dcm.gz", "a.png.gz")
    }


def test_one_sample_without_a_photometric_interpretation_is_grey(tmp_path: Path, settings: Settings) -> None:
    path = write_mr(tmp_path / "FLAIR" / "a.dcm", PhotometricInterpretation=None)
    assert scan_series("1", [path], tmp_path, settings).series[0].rows == 4
    colour = write_mr(tmp_path / "FLAIR" / "b.dcm", PhotometricInterpretation="RGB", SamplesPerPixel=3)
    (fault,) = scan_series("1", [colour], tmp_path, settings).faults
    assert "colour image (RGB)" in fault.reason


def test_a_dicom_file_or_a_picture_named_as_nifti_is_what_it_is(tmp_path: Path) -> None:
    write_mr(tmp_path / "a.dcm").rename(tmp_path / "a.nii")
    Image.fromarray(np.full((4, 4), 90, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "b.nii")
    (tmp_path / "c.nii").write_bytes(b"torn")
    assert [detect_kind(tmp_path / f"{name}.nii") for name in "abc"] == ["dicom", "picture", "nifti"]


@pytest.mark.parametrize("name", ["thumbnail.png", "preview.jpg", "flair_thumb.png", "T1-Preview.PNG", "thumbs.jpeg"])
def test_a_thumbnail_is_no_scan(tmp_path: Path, name: str) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
    assert detect_kind(tmp_path / name) is None
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "thumbless.png")
    assert detect_kind(tmp_path / "thumbless.png") == "picture"


def test_what_windows_and_disks_leave_behind_is_passed_over(tmp_path: Path) -> None:
    for name in ("$RECYCLE.BIN", "System Volume Information", "lost+found", "@eaDir", "P1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flair.png").write_bytes(b"x")
    assert [path.parent.name for path in walk_files(tmp_path)] == ["P1"]
    assert [path.name for path in list_folders(tmp_path)] == ["P1"]
    assert [path.name for path in subfolders(tmp_path)] == ["P1"]
