"""The cache: found again, made anew when it must be, never mixed up, never half written."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.config import PrepConfig
from core.data.prepare import cache
from core.data.prepare.cache import load_prepared, open_prepared
from core.data.prepare.slices import PreparedSeries
from core.data.study import Series
from core.errors import DataError, StorageError
from core.mri import MRSequence
from core.settings import Settings
from tests.data.volumes import make_study

PREP = PrepConfig(size_px=32)


@pytest.fixture
def series(tmp_path: Path) -> Series:
    return make_study(tmp_path / "data", "00001", 1, images=3).series[0]


def same(one: PreparedSeries, other: PreparedSeries) -> bool:
    return (
        np.array_equal(one.pixels, other.pixels)
        and np.array_equal(one.slice_index, other.slice_index)
        and np.array_equal(one.position_mm, other.position_mm, equal_nan=True)
        and (one.files, one.frames, one.slice_total, one.blank_count, one.faults)
        == (other.files, other.frames, other.slice_total, other.blank_count, other.faults)
    )


def test_the_second_time_nothing_is_prepared(
    series: Series, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (series.files[2]).write_text("damaged")  # so that a fault is kept, too
    assert open_prepared(series, PREP, settings) is None
    first = load_prepared(series, PREP, settings)
    monkeypatch.delattr(cache, "prepare_source")
    second = load_prepared(series, PREP, settings)
    assert same(first, second)
    assert len(second.faults) == 1
    assert isinstance(second.pixels, np.memmap)


def test_sequences_do_not_matter_but_size_does(series: Series, settings: Settings) -> None:
    load_prepared(series, PREP, settings)
    assert open_prepared(series, PREP.model_copy(update={"sequences": (MRSequence.T2W,)}), settings)
    assert open_prepared(series, PREP.model_copy(update={"size_px": 48}), settings) is None


def test_a_changed_file_is_prepared_anew(series: Series, settings: Settings) -> None:
    before = load_prepared(series, PREP, settings)
    shutil.copyfile(series.files[1], series.files[0])
    os.utime(series.files[0], ns=(1, 1))
    after = load_prepared(series, PREP, settings)
    assert not np.array_equal(before.pixels[0], after.pixels[0])
    np.testing.assert_array_equal(after.pixels[0], before.pixels[1])


def test_a_moved_cohort_finds_its_entries_again(
    series: Series, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_prepared(series, PREP, settings)
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere")
    files = tuple(tmp_path / "elsewhere" / path.relative_to(tmp_path / "data") for path in series.files)
    moved = replace(series, files=files)
    assert open_prepared(moved, PREP, settings) is None  # what these files hold is not known yet
    monkeypatch.delattr(cache, "prepare_source")
    assert same(load_prepared(moved, PREP, settings), first)
    monkeypatch.delattr(cache, "_digest_file")
    assert same(load_prepared(moved, PREP, settings), first)


def test_a_damaged_memory_of_the_content_is_no_harm(series: Series, settings: Settings) -> None:
    first = load_prepared(series, PREP, settings)
    for damage in (b"", b"{}", b'{"stamp": "?", "document": "0"}', b'{"stamp": 3}', b"\xff[", b"7"):
        [path] = (settings.cache / "contents").iterdir()
        path.write_bytes(damage)
        assert same(load_prepared(series, PREP, settings), first)
    assert len(list((settings.cache / "prepared").iterdir())) == 1


def test_what_a_killed_process_left_is_swept_and_what_another_writes_is_not(series: Series, settings: Settings) -> None:
    load_prepared(series, PREP, settings)
    [entry] = (settings.cache / "prepared").iterdir()
    (entry / "meta.json").unlink()
    old, young = entry / ".pixels.npy.1.part", entry / ".pixels.npy.2.part"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (1, 1))
    load_prepared(series, PREP, settings)
    assert young.exists()
    assert not old.exists()


def test_equal_names_sizes_and_times_in_two_folders_are_two_entries(tmp_path: Path, settings: Settings) -> None:
    both = []
    for study_id, grey in (("1", 10), ("2", 200)):
        path = tmp_path / study_id / "Image-1.bmp"
        path.parent.mkdir()
        from PIL import Image

        Image.new("L", (32, 32), grey).save(path)
        os.utime(path, ns=(1, 1))
        study = make_study(tmp_path / "data", study_id, 1, images=1).series[0]
        both.append(load_prepared(replace(study, files=(path,)), PREP, settings))
    assert both[0].pixels.max() == 10
    assert both[1].pixels.min() == 200


@pytest.mark.parametrize("file", ["pixels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "noise"])
def test_a_damaged_entry_is_made_anew(series: Series, settings: Settings, file: str, damage: str) -> None:
    whole = load_prepared(series, PREP, settings)
    expected = replace(whole, pixels=np.array(whole.pixels))
    [path] = (settings.cache / "prepared").glob(f"*/{file}")
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"cut": content[:-7], "empty": b"", "noise": b"\x93NUMPY{[" + os.urandom(200)}[damage])
    assert open_prepared(series, PREP, settings) is None
    assert same(load_prepared(series, PREP, settings), expected)
    assert open_prepared(series, PREP, settings) is not None


def test_pixels_of_another_shape_are_not_believed(series: Series, settings: Settings) -> None:
    load_prepared(series, PREP, settings)
    [path] = (settings.cache / "prepared").glob("*/pixels.npy")
    for wrong in (np.zeros((2, 32, 32), np.uint8), np.zeros((3, 16, 16), np.uint8), np.zeros((3, 32, 32), np.int16)):
        np.save(path, wrong)
        assert open_prepared(series, PREP, settings) is None


def test_a_file_that_is_gone_is_named(series: Series, settings: Settings) -> None:
    series.files[1].unlink()
    with pytest.raises(DataError, match=r"1\.png of study 00001 cannot be read any more"):
        load_prepared(series, PREP, settings)


def test_a_full_disk_is_told_and_leaves_nothing(
    series: Series, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space"):
        load_prepared(series, PREP, settings)
    assert not [path for path in (settings.cache / "prepared").rglob("*") if path.is_file()]


def test_two_processes_at_once_get_the_same(series: Series, settings: Settings) -> None:
    with ProcessPoolExecutor(2) as pool:
        answers = list(pool.map(load_prepared, [series] * 8, [PREP] * 8, [settings] * 8))
    assert all(same(answers[0], answer) for answer in answers)
    written = [path.name for path in (settings.cache / "prepared").rglob("*") if path.is_file()]
    assert sorted(written) == ["meta.json", "pixels.npy"]
