import io
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from core.data.cohort import scan_cohort
from core.data.formats.archive import unpack
from core.data.formats.untrusted_files import safe_path
from core.data.names.session_names import title_session
from core.data.study import Cohort, Study
from core.data.upload import open_scan, receive
from core.errors import ArchiveError, DataError, EmptyCohortError, LimitError, StorageError
from core.mri import MRSequence, Plane
from core.settings import Settings
from tests.data.cohorts.trees import (
    write_bids,
    write_brats21,
    write_ds007045,
    write_lumiere,
    write_mu,
    write_ucsf,
    write_upenn,
)
from tests.data.dicom_files import write_mr, write_series

STACK = np.random.default_rng(0).integers(0, 4000, (4, 6, 5)).astype(np.uint16)


def write_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def found(cohort: Cohort) -> dict[str, list[tuple[str, int]]]:
    return {study.study_id: [(str(one.sequence), len(one.files)) for one in study.series] for study in cohort}


def test_an_upload_is_written_under_its_own_names(tmp_path: Path, settings: Settings) -> None:
    paths = receive(
        [("00430/FLAIR/Image-1.dcm", b"one"), ("a.dcm", io.BytesIO(b"two")), ("a.dcm", b"three"), ('b?<"\n.dcm', b"4")],
        tmp_path / "files",
        settings,
    )
    assert [str(path.relative_to(tmp_path / "files")) for path in paths] == [
        "00430/FLAIR/Image-1.dcm",
        "a.dcm",
        "a-2.dcm",
        "b____.dcm",
    ]
    assert [path.read_bytes() for path in paths] == [b"one", b"two", b"three", b"4"]


def test_a_stream_that_was_read_before_is_read_from_its_start(tmp_path: Path, settings: Settings) -> None:
    stream = io.BytesIO(b"content")
    stream.read()
    assert receive([("a", stream)], tmp_path, settings)[0].read_bytes() == b"content"


@pytest.mark.parametrize(
    "name", ["../a", "/etc/a", "C:\\a", "c:a", "a/../../b", "a\\..\\b", "\\\\host\\a", "a\0b", "", ".", "d/" * 40 + "a"]
)
def test_names_that_lead_out_are_refused_and_nothing_is_kept(tmp_path: Path, settings: Settings, name: str) -> None:
    with pytest.raises(ArchiveError):
        receive([("good.dcm", b"1"), (name, b"2")], tmp_path / "files", settings)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    archive = write_zip(tmp_path / "a.zip", {"good.dcm": b"1", "x": b"2"})
    if name and "\0" not in name:
        archive.write_bytes(write_zip(tmp_path / "b.zip", {"good.dcm": b"1", name: b"2"}).read_bytes())
        with pytest.raises(ArchiveError):
            unpack(archive, tmp_path / "unpacked", settings)
        assert not (tmp_path / "unpacked").exists()


def test_a_long_name_is_shortened_and_keeps_its_suffix(tmp_path: Path) -> None:
    path = safe_path(tmp_path, "ü" * 300 + ".dcm")
    assert path.suffix == ".dcm"
    assert len(path.name.encode()) <= 150


def test_too_many_bytes_or_files_are_refused_and_nothing_is_kept(tmp_path: Path, settings: Settings) -> None:
    small = replace(settings, upload_bytes=2 * 2**20, upload_files=3)
    with pytest.raises(LimitError, match="more than 2 MB"):
        receive([("a", b"1" * 2**20), ("b", b"1" * 2**20), ("c", b"1")], tmp_path, small)
    with pytest.raises(LimitError, match="more than 3 files"):
        receive([(str(number), b"1") for number in range(4)], tmp_path, small)
    assert not list(tmp_path.iterdir())


def test_a_bomb_is_stopped_by_what_it_inflates_to(tmp_path: Path, settings: Settings) -> None:
    small = replace(settings, upload_bytes=2 * 2**20)
    bomb = write_zip(tmp_path / "bomb.zip", {"a.dcm": b"\0" * (8 * 2**20)})
    with pytest.raises(LimitError, match="more than 2 MB"):
        unpack(bomb, tmp_path / "plain", small)
    # the same with a lie about its size, in the entry's own header and in the directory
    lie = bomb.read_bytes().replace(struct.pack("<I", 8 * 2**20), struct.pack("<I", 100))
    bomb.write_bytes(lie)
    with pytest.raises((LimitError, ArchiveError)):
        unpack(bomb, tmp_path / "lying", small)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.dcm")) <= small.upload_bytes


def test_a_directory_out_of_proportion_is_refused_unread(tmp_path: Path, settings: Settings) -> None:
    entries = {f"{number:0200}": b"" for number in range(300)}
    with pytest.raises(LimitError, match="lists more than 10 files"):
        unpack(write_zip(tmp_path / "many.zip", entries), tmp_path / "out", replace(settings, upload_files=10))


def test_links_encryption_and_damage_are_refused(tmp_path: Path, settings: Settings) -> None:
    link = zipfile.ZipInfo("link.dcm")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match=r"holds the link 'link\.dcm'"):
        unpack(tmp_path / "link.zip", tmp_path / "out", settings)
    content = bytearray(write_zip(tmp_path / "a.zip", {"a.dcm": b"content" * 50}).read_bytes())
    locked = bytearray(content)
    locked[6] |= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(ArchiveError, match="is encrypted"):
        unpack(tmp_path / "locked.zip", tmp_path / "out", settings)
    for damaged in (content[:-30], content[:40] + b"\xff" * 8 + content[48:], b"PK\x03\x04 not a zip"):
        (tmp_path / "damaged.zip").write_bytes(damaged)
        with pytest.raises(ArchiveError, match=r"damaged\.zip is damaged"):
            unpack(tmp_path / "damaged.zip", tmp_path / "out", settings)


def test_a_full_disk_is_told(tmp_path: Path, settings: Settings) -> None:
    class FullDisk(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="no space is left"):
        receive([("a.dcm", FullDisk(b"x"))], tmp_path / "files", settings)
    assert not list((tmp_path / "files").iterdir())


def test_a_study_folder_a_series_folder_and_one_file(tmp_path: Path, settings: Settings) -> None:
    study = tmp_path / "train" / "00430"
    write_series(study / "FLAIR", STACK)
    write_series(study / "T1wCE", STACK, SeriesInstanceUID="1.2.3.5")
    for handed, expected in (
        (study, [("FLAIR", 4), ("T1wCE", 4)]),
        (study / "FLAIR", [("FLAIR", 4)]),
        (study / "FLAIR" / "Image-2.dcm", [("FLAIR", 1)]),
    ):
        cohort = open_scan([handed], tmp_path / "work", settings)
        assert found(cohort) == {"00430": expected}
        assert cohort.layout == "upload"


def test_files_of_two_studies_are_told_apart_by_their_uids(tmp_path: Path, settings: Settings) -> None:
    first = write_series(tmp_path / "in", STACK, names=["IM1", "IM2", "IM3", "IM4"], SeriesDescription="AX T2 FLAIR")
    second = write_series(
        tmp_path / "in", STACK[:2], names=["IM5", "IM6"], StudyInstanceUID="9.9", SeriesInstanceUID="9.9.1", SeriesDescription="T2 TSE"
    )  # fmt: skip
    cohort = open_scan([*first, *second], tmp_path / "work", settings)
    assert found(cohort) == {"scan": [("FLAIR", 4)], "scan-2": [("T2w", 2)]}
    assert found(open_scan([tmp_path / "in"], tmp_path / "x" / "work", settings)).keys() == {"in", "in-2"}


def test_a_zip_is_unpacked_into_the_workspace_only(tmp_path: Path, settings: Settings) -> None:
    paths = write_series(tmp_path / "source", STACK)
    entries = {f"00008/T1w/{path.stem}": path.read_bytes() for path in paths}
    entries |= {
        "__MACOSX/00008/._x": b"junk",
        "00008/.DS_Store": b"junk",
        "inner.zip": b"PK\x03\x04",
        "readme.txt": b"hi",
    }
    (tmp_path / "handed").mkdir()
    archive = write_zip(tmp_path / "handed" / "study.zip", entries)
    before = set(tmp_path.rglob("*"))
    cohort = open_scan([archive], tmp_path / "work", settings)
    assert found(cohort) == {"00008": [("T1w", 4)]}
    assert [fault.path for fault in cohort.faults] == ["inner.zip"]
    new = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "work") for path in new)


def test_a_received_upload_is_opened_whole(tmp_path: Path, settings: Settings) -> None:
    paths = write_series(tmp_path / "source", STACK, SeriesDescription="FLAIR")
    place = tmp_path / "session"
    zipped = write_zip(tmp_path / "a.zip", {f"00001/T2w/{path.name}": path.read_bytes() for path in paths})
    files = [(path.name, path.read_bytes()) for path in paths]
    receive([*files, ("a.zip", zipped.read_bytes()), ("x.dcm", b"text")], place / "files", settings)
    cohort = open_scan([place / "files"], place / "unpacked", settings)
    assert found(cohort) == {"00001": [("T2w", 4)], "scan": [("FLAIR", 4)]}
    assert [fault.path for fault in cohort.faults] == ["x.dcm"]


def test_nifti_files_are_one_study_by_their_names(tmp_path: Path, settings: Settings) -> None:
    for kind in ("t1n", "t1c", "t2w", "t2f", "seg"):
        image = nibabel.Nifti1Image(np.ones((4, 5, 3), np.int16), np.diag([1, 1, 3, 1]))
        nibabel.save(image, tmp_path / f"case-7-{kind}.nii.gz")
    cohort = open_scan([tmp_path], tmp_path / "w" / "work", settings)
    assert found(cohort) == {"case-7": [("FLAIR", 1), ("T1w", 1), ("T1wCE", 1), ("T2w", 1)]}
    assert "segmentation" in cohort.faults[0].reason
    assert cohort["case-7"].series[0].plane is Plane.AXIAL


def test_images_go_by_their_numbers_else_by_their_folder(tmp_path: Path, settings: Settings) -> None:
    for name in ("00430_FLAIR_1.png", "00430_FLAIR_2.png", "00008_T2w_1.png", "one.png", "two.png"):
        Image.new("L", (4, 4), 9).save(tmp_path / name)
    cohort = open_scan([tmp_path], tmp_path / "w" / "work", settings, sequence=MRSequence.T1W)
    assert found(cohort) == {
        "00430": [("FLAIR", 2)],
        "00008": [("T2w", 1)],
        tmp_path.name: [("T1w", 2)],
    }
    assert "2 images name no patient" in cohort.notes[0]
    singles = open_scan([tmp_path / "one.png", tmp_path / "two.png"], tmp_path / "w" / "work", settings)
    assert found(singles) == {"one": [("unknown", 1)], "two": [("unknown", 1)]}


def test_nothing_usable_is_told_with_the_first_reason(tmp_path: Path, settings: Settings) -> None:
    text = tmp_path / "a.dcm"
    text.write_text("text")
    for path, says in (
        (text, r"No scan in a\.dcm can be read: a\.dcm is not a DICOM file"),
        (write_mr(tmp_path / "ct.dcm", Modality="CT"), "Modality CT"),
        (write_mr(tmp_path / "bare.dcm", PixelData=None), "without pixel data"),
    ):
        with pytest.raises(EmptyCohortError, match=says):
            open_scan([path], tmp_path / "work", settings)
    for name, says in (
        ("mine/empty", "empty"),
        ("files", "the upload"),
    ):  # the folder beside the work is an upload's own
        (tmp_path / name).mkdir(parents=True)
        with pytest.raises(EmptyCohortError, match=f"No scan was found in {says}"):
            open_scan([tmp_path / name], tmp_path / "work", settings)
    with pytest.raises(DataError, match="does not exist"):
        open_scan([tmp_path / "nowhere"], tmp_path / "work", settings)


def test_the_real_series_from_a_zip_without_extensions(tmp_path: Path, settings: Settings, shared_data: Path) -> None:
    files = sorted((shared_data / "rsna_dicom" / "train" / "00430" / "FLAIR").iterdir())
    archive = write_zip(tmp_path / "study.zip", {path.stem: path.read_bytes() for path in files})
    cohort = open_scan([archive], tmp_path / "work", settings)
    assert found(cohort) == {"study": [("FLAIR", 60)]}
    assert cohort["study"].series[0].sequence_reason == "SeriesDescription 'FLAIR'"


UNKNOWN_TIME = "before or after the operation: its name does not say"


@pytest.mark.parametrize(
    "write", [write_upenn, write_ucsf, write_brats21, write_ds007045, write_mu, write_lumiere, write_bids]
)
def test_a_public_cohort_is_read_as_index_reads_it(
    tmp_path: Path, settings: Settings, write: Callable[[Path], Path]
) -> None:
    root = write(tmp_path / "data")
    indexed = scan_cohort(root, session="all", jobs=1)
    expected = {one.study_id: one for one in (*indexed, *indexed.excluded) if one.series}
    handed = open_scan([root], tmp_path / "w" / "work", settings)
    wrapped = shutil.copytree(root, tmp_path / "browser" / "files" / "data")
    archives = [zip_folder(wrapped, tmp_path / "study.zip"), zip_folder(wrapped.parent, tmp_path / "wrapped.zip")]
    for read in (handed, *(open_scan([one], tmp_path / "w" / "work", settings) for one in (*archives, wrapped.parent))):
        assert {one.study_id: (one.person, one.session) for one in read} == {
            study_id: (one.person, one.session) for study_id, one in expected.items()
        }
        for one in read:
            assert [(series.sequence, series.files[0].name, series.sequence_confidence) for series in one.series] == [
                (series.sequence, series.files[0].name, series.sequence_confidence)
                for series in expected[one.study_id].series
            ]
    assert handed.notes[0].startswith("Read as ")
    first = next(iter(handed))
    alone = open_scan([session_folder(first)], tmp_path / "w" / "work", settings)
    assert [(one.study_id, [series.sequence for series in one.series]) for one in alone] == [
        (first.study_id, [series.sequence for series in first.series])
    ]


@pytest.mark.parametrize(
    ("write", "person", "sessions"),
    [
        (
            write_upenn,
            "UPENN-GBM-00002",
            ["11 (baseline: before the operation)", "21 (follow-up: after the operation)"],
        ),
        (write_bids, "sub-01", ["ses-pre (before the operation)", "ses-post (after the operation)"]),
        (
            write_mu,
            "PatientID_0003",
            [f"Timepoint_{number} (post-operative: after the operation)" for number in (1, 2)],
        ),
        (write_lumiere, "Patient-001", [f"week-{week} ({UNKNOWN_TIME})" for week in ("000-1", "000-2", "044")]),
    ],
)
def test_sessions_of_a_person_are_said_and_those_before_the_operation_come_first(
    tmp_path: Path, settings: Settings, write: Callable[[Path], Path], person: str, sessions: list[str]
) -> None:
    read = open_scan([write(tmp_path / "data")], tmp_path / "work", settings)
    assert [title_session(one) for one in read if one.person == person] == sessions
    said = f"{person} has {len(sessions)} sessions: {', '.join(sessions)}. Each has an answer of its own."
    assert said in read.notes


def session_folder(study: Study) -> Path:
    """The folder of a session: that of its files, or the one above ``anat``."""
    folder = study.series[0].files[0].parent
    return folder.parent if folder.name == "anat" else folder


def zip_folder(folder: Path, archive: Path) -> Path:
    """Zip a folder, as a browser hands in its files: with their paths below it."""
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                opened.write(path, path.relative_to(folder))
    return archive
