"""The index a second time: the same cohort without opening a file, and anew where anything changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.cohort import scan_cohort
from core.data.formats.discovery import walk_files
from core.data.index import image_index
from core.data.index import series as series_module
from core.errors import EmptyCohortError
from core.mri import MRSequence
from core.settings import Settings
from tests.data.dicom_files import write_mr, write_series

STACK = np.arange(4 * 20, dtype=np.uint16).reshape(4, 4, 5)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two studies of DICOM, one of them with a damaged file and an empty folder."""
    folder = tmp_path / "data"
    for study in ("00001", "00002"):
        for sequence in ("FLAIR", "T2w"):
            write_series(folder / "train" / study / sequence, STACK)
    (folder / "train/00002/FLAIR/damaged.dcm").write_text("not DICOM")
    (folder / "train/00002/T1w").mkdir()
    return folder


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*arguments: object, **options: object) -> None:
        raise AssertionError("a header was read")

    for name in ("read_header", "read_headers", "detect_kind"):
        monkeypatch.setattr(series_module, name, read, raising=False)


def test_the_second_time_no_header_is_read(root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scan_cohort(root, settings=settings)
    assert first == scan_cohort(root)
    assert len(first.faults) == 2
    forbid_reading(monkeypatch)
    told: list[tuple[int, int]] = []
    second = scan_cohort(root, settings=settings, progress=lambda done, total, what="": told.append((done, total)))
    assert second == first
    assert second.digest == first.digest
    assert told == [(2, 2)]
    with pytest.raises(AssertionError, match="a header was read"):
        scan_cohort(root)


def change_content(root: Path) -> None:
    path = root / "train/00001/FLAIR/Image-1.dcm"
    write_mr(path, position=(0, 0, 0), SeriesDescription="changed")


def touch(root: Path) -> None:
    os.utime(root / "train/00001/FLAIR/Image-1.dcm", ns=(1, 1))


def remove(root: Path) -> None:
    (root / "train/00001/FLAIR/Image-1.dcm").unlink()


def rename(root: Path) -> None:
    path = root / "train/00001/FLAIR/Image-1.dcm"
    path.rename(path.with_name("other.dcm"))


def add(root: Path) -> None:
    path = root / "train/00001/FLAIR/Image-1.dcm"
    shutil.copy2(path, path.with_name("copy.dcm"))


@pytest.mark.parametrize("change", [change_content, touch, remove, rename, add])
def test_only_a_changed_study_is_read_again(root: Path, settings: Settings, change: Callable[[Path], None]) -> None:
    assert any(path.name == "Image-1.dcm" for path in walk_files(root / "train/00001/FLAIR"))
    scan_cohort(root, settings=settings)
    change(root)
    told: list[tuple[int, str]] = []
    again = scan_cohort(root, settings=settings, progress=lambda done, total, what="": told.append((done, what)))
    assert told == [(1, "from the cache"), (2, "00001")]
    assert again == scan_cohort(root)


def test_what_was_asked_for_is_part_of_the_key(root: Path, settings: Settings) -> None:
    (root / "train/00001/FLAIR").rename(root / "train/00001/scans")
    for sequence in (MRSequence.T1W, MRSequence.T1WCE, None):
        assert scan_cohort(root, settings=settings, sequence=sequence) == scan_cohort(root, sequence=sequence)
    with pytest.raises(EmptyCohortError, match="at most 10"):
        scan_cohort(root, settings=replace(settings, file_pixels=10))


def test_paths_of_faults_follow_the_root(root: Path, settings: Settings) -> None:
    above, below = scan_cohort(root, settings=settings), scan_cohort(root / "train", settings=settings)
    assert {fault.path for fault in above.faults} == {f"train/{fault.path}" for fault in below.faults}


def test_damaged_entries_are_made_anew(root: Path, settings: Settings) -> None:
    expected = scan_cohort(root, settings=settings)
    for damage in (b"", b"[1, 2]", b'{"stamp": "x", "document": {"series": 3}}'):
        for entry in (settings.cache / "index").iterdir():
            entry.write_bytes(damage)
        assert scan_cohort(root, settings=settings) == expected
    for entry in (settings.cache / "index").iterdir():  # the right stamp around nonsense
        text = entry.read_text()
        entry.write_text(text.replace('"plane"', '"plain"'))
    assert scan_cohort(root, settings=settings) == expected


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of images of three patients, one file of which is damaged and one no image."""
    folder = tmp_path / "pictures"
    for class_name, patient in (("methylated", "00001"), ("unmethylated", "00002"), ("unmethylated", "00003")):
        for number in range(3):
            path = folder / class_name / f"{patient}_FLAIR_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((20 + number, 24), 40 * number, np.uint8)).save(path)
    (folder / "methylated/00001_FLAIR_8.png").write_bytes(b"\x89PNG\r\n\x1a\n nonsense")
    write_mr(folder / "methylated/00001_FLAIR_9.dcm")
    return folder


def test_images_are_opened_once(images: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scan_cohort(images, settings=settings)
    assert first == scan_cohort(images)
    assert [len(study.series[0].files) for study in first] == [3, 3, 3]
    assert len(first.faults) == 2
    assert (first.studies[0].series[0].rows, first.studies[0].series[0].columns) == (20, 24)
    opened: list[str] = []
    read_sizes = image_index._read_sizes

    def note(paths: list[Path], limits: Settings) -> object:
        opened.extend(path.name for path in paths)
        return read_sizes(paths, limits)

    monkeypatch.setattr(image_index, "_read_sizes", note)
    told: list[tuple[int, int]] = []
    again = scan_cohort(images, settings=settings, progress=lambda done, total, what="": told.append((done, total)))
    assert again == first
    assert told == [(11, 11)]
    assert not opened
    path = images / "methylated/00001_FLAIR_0.png"
    Image.fromarray(np.zeros((50, 50), np.uint8)).save(path)
    changed = scan_cohort(images, settings=settings)
    assert changed == scan_cohort(images)
    assert changed.studies[0].series[0].rows == 50
    assert all(name.startswith("00001") for name in opened[:5])


def test_many_images_are_opened_in_parallel(images: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scan_cohort(images)
    used: list[int] = []

    def run(function: Callable[..., object], tasks: list[tuple[object, ...]], *, jobs: int) -> list[object]:
        used.append(jobs)
        return [function(*task) for task in tasks]

    monkeypatch.setattr(image_index, "AT_ONCE", 2)
    monkeypatch.setattr(image_index, "FILES_PER_PROCESS", 3)
    monkeypatch.setattr(image_index, "run_tasks", run)
    assert scan_cohort(images, jobs=3) == expected
    assert used == [3]


def test_a_damaged_entry_of_images_is_made_anew(images: Path, settings: Settings) -> None:
    expected = scan_cohort(images, settings=settings)
    entries = list((settings.cache / "index").iterdir())
    assert len(entries) == 2
    for entry in entries:
        entry.write_text(entry.read_text().replace('"sizes": [[', '"sizes": [["x"], ['))
    assert scan_cohort(images, settings=settings) == expected
