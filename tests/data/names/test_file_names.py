"""The files of a folder as names behave as a tuple of paths."""

from __future__ import annotations

import pickle
from pathlib import Path

from core.data.names.file_names import FileNames

FOLDER = Path("cohort") / "00001"
NAMES = ("a.dcm", "b.dcm", "below/c.dcm")
PATHS = tuple(FOLDER / name for name in NAMES)


def make(folder: Path, *names: str) -> FileNames:
    return FileNames(folder, FileNames.BETWEEN.join(names))


def test_equals_a_tuple_of_its_paths_and_has_its_hash() -> None:
    files = make(FOLDER, *NAMES)
    assert tuple(files) == PATHS
    assert files == PATHS
    assert PATHS == files  # noqa: SIM300 - a tuple asks first, and then us
    assert hash(files) == hash(PATHS)
    assert files == make(FOLDER.parent, *(f"00001/{name}" for name in NAMES))


def test_differs_from_other_names_other_folders_and_other_things() -> None:
    files = make(FOLDER, *NAMES)
    assert files != make(FOLDER, *NAMES[:2])
    assert files != make(FOLDER.parent, *NAMES)
    assert files != list(PATHS)


def test_is_indexed_cut_and_counted() -> None:
    files = make(FOLDER, *NAMES)
    assert (files[0], files[-1], len(files)) == (PATHS[0], PATHS[-1], 3)
    assert tuple(files[1:]) == PATHS[1:]
    assert PATHS[2] in files
    assert files.index(PATHS[1]) == 1


def test_travels_to_another_process() -> None:
    files = make(FOLDER, *NAMES)
    assert pickle.loads(pickle.dumps(files)) == files
