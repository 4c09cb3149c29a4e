"""The state of folders: what a walk finds, the same in however many processes, and seen to change."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from core.data.formats.discovery import walk_files
from core.data.index import folder_stamp
from core.data.index.folder_stamp import stamp_folder, stamp_folders

STUDIES = ("00001", "00002", "späte Studie")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three studies, the second with an empty folder."""
    for study in STUDIES:
        for name in ("FLAIR/1.dcm", "FLAIR/2.dcm", "T2w/1.dcm"):
            path = tmp_path / "train" / study / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(study + name)
    (tmp_path / "train/00002/T1w").mkdir()
    return tmp_path


def test_a_stamp_sees_the_files_that_a_walk_finds(root: Path) -> None:
    study = root / "train/00002"
    (study / ".hidden").write_text("x")
    (study / "__MACOSX").mkdir()
    (study / "__MACOSX/x.dcm").write_text("x")
    (study / "loop").symlink_to(root / "train")
    (study / "linked").symlink_to(root / "train/00001/FLAIR")
    stamp = stamp_folder(study)
    assert stamp.file_count == len(list(walk_files(study)))
    assert [path.name for path in stamp.empty_folders] == ["T1w"]


def test_several_processes_find_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [root / "train" / study for study in STUDIES]
    expected = [stamp_folder(folder) for folder in folders]
    assert len({stamp.digest for stamp in expected}) == 3
    monkeypatch.setattr(folder_stamp, "FOLDERS_PER_PROCESS", 1)
    asked = count_processes(monkeypatch)
    for jobs in (1, 2, 3):
        assert stamp_folders(folders, jobs) == expected
    assert stamp_folders([], 2) == []
    assert asked == [1, 1, 1]
    monkeypatch.setattr(folder_stamp, "stamp_folder", lambda folder: expected[0])  # the others work by themselves
    assert stamp_folders(folders, 3) == expected


def test_a_process_that_cannot_be_had_is_done_without(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [root / "train" / study for study in STUDIES]
    monkeypatch.setattr(folder_stamp, "FOLDERS_PER_PROCESS", 1)
    expected = stamp_folders(folders, 1)
    for program in ("/nowhere/python", "/bin/false"):
        monkeypatch.setattr(sys, "executable", program)
        assert stamp_folders(folders, 3) == expected


def test_a_changed_file_is_seen_by_every_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [root / "train" / study for study in STUDIES]
    monkeypatch.setattr(folder_stamp, "FOLDERS_PER_PROCESS", 1)
    before = stamp_folders(folders, 3)
    for study in STUDIES:
        os.utime(root / "train" / study / "FLAIR/1.dcm", ns=(1, 1))
    after = stamp_folders(folders, 3)
    assert all(one.digest != other.digest for one, other in zip(before, after, strict=True))


def count_processes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    asked: list[int] = []
    ask = folder_stamp._ask

    def note(folders: list[Path]) -> object:
        asked.append(len(folders))
        return ask(folders)

    monkeypatch.setattr(folder_stamp, "_ask", note)
    return asked
