"""The ImageFolder tree: names, phases, pixels, and nothing half done."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from core.config import PrepConfig, SplitConfig
from core.data.cohort import scan_cohort
from core.dataset.export import export_imagefolder
from core.dataset.slice_table import SliceTable
from core.dataset.split import PARTS, Split, make_split
from core.dataset.table import build_table
from core.errors import DataError
from core.settings import Settings
from tests.data.tables import CLASSES, alternating, make_table

LABELS = {**alternating(12), "00099": -1}


@pytest.fixture
def table() -> SliceTable:
    return make_table(LABELS, size_px=32)


@pytest.fixture
def split(table: SliceTable) -> Split:
    return make_split(table, SplitConfig(), "0123456789ab")


def test_the_tree_holds_every_labelled_image_with_its_patient_s_id(
    table: SliceTable, split: Split, tmp_path: Path
) -> None:
    told: list[int] = []
    folder = tmp_path / "tree"
    summary = export_imagefolder(table, split, folder, progress=lambda done, total, what="": told.append(total - done))
    expected = {
        f"{part.upper()}/{CLASSES[LABELS[unit]]}/{unit}_FLAIR_{index}.png": (unit, index)
        for part in PARTS
        for unit in split.units(part)
        for index in range(3)
    }
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.png")} == set(expected)
    for name, (unit, index) in expected.items():
        with Image.open(folder / name) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(np.asarray(image), table.arrays[list(LABELS).index(unit)][index])
    assert summary.images["TRAIN"] == {"unmethylated": 12, "methylated": 12}
    assert (summary.unlabelled_studies, summary.leaky) == (1, False)
    assert told == list(range(35, -1, -1))


def test_torchvision_reads_it(table: SliceTable, split: Split, tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    export_imagefolder(table, split, tmp_path / "tree")
    train = ImageFolder(tmp_path / "tree" / "TRAIN")
    assert train.classes == sorted(CLASSES)
    assert len(train) == 24


def test_a_second_series_of_a_sequence_does_not_overwrite_the_first(tmp_path: Path) -> None:
    table = make_table(alternating(12))
    keys = table.rows["key"].where(table.rows["slice_index"] < 2, table.rows["study_id"] + "|FLAIR|1|0")
    table.rows["key"] = keys
    table.rows["slice_index"] = [0, 1, 0] * 12
    split = make_split(table, SplitConfig(), "0123456789ab")
    export_imagefolder(table, split, tmp_path / "tree")
    assert len(list((tmp_path / "tree").rglob("*_FLAIR-2_0.png"))) == 12
    assert len(list((tmp_path / "tree").rglob("*.png"))) == 36


@pytest.mark.parametrize("prefix", ["", "Case_A-"])
@pytest.mark.parametrize("unit", ["patient", "slice"])
def test_scanning_it_gives_the_same_split_and_pixels(
    tmp_path: Path, settings: Settings, prefix: str, unit: Literal["patient", "slice"]
) -> None:
    table = make_table({f"{prefix}{study}": label for study, label in alternating(12).items()}, size_px=32)
    split = make_split(table, SplitConfig(split_unit=unit), "0123456789ab")
    summary = export_imagefolder(table, split, tmp_path / "tree")
    assert (summary.patient_pattern is None) == (not prefix)

    cohort = scan_cohort(tmp_path / "tree", patient_pattern=summary.patient_pattern)
    again = build_table(cohort, PrepConfig(size_px=32), settings)
    split_again = make_split(again, SplitConfig(split_unit=unit), cohort.digest)
    assert cohort.class_names[cohort.positive_class] == "methylated"
    assert set(again.rows["person"]) == set(table.rows["person"])
    assert split_again.source == "folders"
    for part in PARTS:
        one, other = split.indices(table, part), split_again.indices(again, part)
        assert {picture.tobytes() for picture in table.images(one)} == {
            picture.tobytes() for picture in again.images(other)
        }
        if unit == "patient":
            assert split.units(part) == split_again.units(part)


def test_no_test_part_means_no_test_folder(table: SliceTable, tmp_path: Path) -> None:
    split = make_split(table, SplitConfig(test_fraction=0), "0123456789ab")
    summary = export_imagefolder(table, split, tmp_path / "tree")
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == ["TRAIN", "VAL"]
    assert list(summary.images) == ["TRAIN", "VAL"]


def test_nothing_is_overwritten(table: SliceTable, split: Split, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    export_imagefolder(table, split, tmp_path / "tree")  # an empty folder is welcome
    with pytest.raises(DataError, match="is not empty"):
        export_imagefolder(table, split, tmp_path / "tree")


def test_a_cancelled_export_leaves_nothing(table: SliceTable, split: Split, tmp_path: Path) -> None:
    def stop(done: int, total: int, what: str = "") -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_imagefolder(table, split, tmp_path / "tree", progress=stop)
    assert not list(tmp_path.iterdir())


def test_a_split_of_another_cohort_is_an_error(split: Split, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names no image of this cohort"):
        export_imagefolder(make_table({"77777": 1}), split, tmp_path / "tree")
