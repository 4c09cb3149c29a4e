import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.data.formats.archive import unpack
from core.data.formats.discovery import detect_archive, detect_kind
from core.data.study import Cohort
from core.data.upload import open_scan
from core.errors import ArchiveError, LimitError
from core.mri import MRSequence
from core.settings import Settings
from tests.data.dicom_files import write_series

STACK = np.random.default_rng(0).integers(0, 4000, (4, 6, 5)).astype(np.uint16)


def write_tar(path: Path, entries: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def study(tmp_path: Path) -> dict[str, bytes]:
    paths = write_series(tmp_path / "made", STACK)
    return {f"00430/FLAIR/{path.name}": path.read_bytes() for path in paths}


def sequences(cohort: Cohort) -> dict[str, list[tuple[str, int]]]:
    return {one.study_id: [(str(series.sequence), len(series.files)) for series in one.series] for one in cohort}


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar", "w"), ("upload", "w:gz")]
)
def test_a_tar_is_read_whatever_its_name(tmp_path: Path, settings: Settings, name: str, mode: str) -> None:
    archive = write_tar(tmp_path / name, {**study(tmp_path), "._00430": b"litter"}, mode)
    assert (detect_kind(archive), detect_archive(archive)) == ("archive", "tar")
    cohort = open_scan([archive], tmp_path / "work", settings)
    assert sequences(cohort) == {"00430": [("FLAIR", 4)]}
    assert not cohort.faults


def test_a_tar_in_a_folder_is_unpacked_and_a_nifti_is_no_archive(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "in").mkdir()
    write_tar(tmp_path / "in" / "case.tar.gz", {"t1.txt": b"x" * 600})
    nifti = tmp_path / "t1.nii.gz"
    nifti.write_bytes(gzip.compress(b"\0" * 344 + b"n+1\0" + b"\0" * 200))
    assert detect_kind(nifti) == "nifti"
    entries = study(tmp_path)
    write_tar(tmp_path / "in" / "b.tar", entries, "w")
    assert sequences(open_scan([tmp_path / "in"], tmp_path / "work", settings)) == {"00430": [("FLAIR", 4)]}


def with_member(change: Callable[[tarfile.TarInfo], None]) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        with tarfile.open(path, "w:gz") as archive:
            good = tarfile.TarInfo("good.txt")
            good.size = 3
            archive.addfile(good, io.BytesIO(b"abc"))
            entry = tarfile.TarInfo("entry")
            change(entry)
            archive.addfile(entry, io.BytesIO(b"x" * entry.size))
        return path

    return write


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (with_member(lambda entry: setattr(entry, "name", "../out.txt")), "leads out of its folder"),
        (with_member(lambda entry: setattr(entry, "name", "/etc/out.txt")), "leads out of its folder"),
        (with_member(lambda entry: setattr(entry, "type", tarfile.SYMTYPE)), "holds the link"),
        (with_member(lambda entry: setattr(entry, "type", tarfile.LNKTYPE)), "holds the link"),
        (with_member(lambda entry: setattr(entry, "type", tarfile.FIFOTYPE)), "no plain file"),
    ],
)  # fmt: skip
def test_what_leads_out_is_refused_and_nothing_is_written(
    tmp_path: Path, settings: Settings, write: Callable[[Path], Path], says: str
) -> None:
    with pytest.raises(ArchiveError, match=says):
        unpack(write(tmp_path / "a.tar.gz"), tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_a_damaged_tar_is_named(tmp_path: Path, settings: Settings) -> None:
    whole = write_tar(tmp_path / "a.tar.gz", study(tmp_path)).read_bytes()
    for content in (whole[:200], b"", b"no tar at all", gzip.compress(b"no tar at all" * 100)):
        (tmp_path / "b.tar.gz").write_bytes(content)
        with pytest.raises(ArchiveError, match=r"b\.tar\.gz is damaged or not a tar"):
            unpack(tmp_path / "b.tar.gz", tmp_path / "out", settings)


def test_bombs_are_refused_without_being_held(tmp_path: Path, settings: Settings) -> None:
    small = replace(settings, upload_bytes=2**20, upload_files=10)
    zeros = bytes(64 * 2**20)
    archives = [
        write_tar(tmp_path / "large.tar.gz", {"a.dcm": zeros}),
        write_tar(tmp_path / "many.tar.gz", {f"{index}.dcm": b"x" for index in range(12)}),
    ]
    long = tarfile.TarInfo("name")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, len(zeros)
    (tmp_path / "name.tar.gz").write_bytes(gzip.compress(long.tobuf(tarfile.GNU_FORMAT) + zeros))
    archives.append(tmp_path / "name.tar.gz")
    del zeros
    tracemalloc.start()
    for archive in archives:
        with pytest.raises((LimitError, ArchiveError)):
            unpack(archive, tmp_path / "out", small)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 * 2**20
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_the_real_series_from_a_tar(tmp_path: Path, settings: Settings, shared_data: Path) -> None:
    files = sorted((shared_data / "rsna_dicom" / "train" / "00430" / "FLAIR").iterdir())
    archive = write_tar(tmp_path / "study.tar.gz", {path.stem: path.read_bytes() for path in files})
    cohort = open_scan([archive], tmp_path / "work", settings)
    (series,) = cohort.series
    assert (cohort.studies[0].study_id, series.sequence, series.slice_total) == ("study", MRSequence.FLAIR, 60)
