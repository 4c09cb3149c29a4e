"""The synthetic cohort as a folder: layout, labels, truth, completeness, and what it refuses to touch."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.synthetic import SYNTHETIC_MARK, SYNTHETIC_MARK_KEYWORD, is_synthetic
from core.errors import ConfigError, StorageError
from core.phantom.cohort import make_phantom, plan_cohort, read_phantom
from core.phantom.config import PhantomConfig, best_auroc
from core.phantom.study import make_sample_study

SMALL = PhantomConfig(studies=4, signal=3.0, seed=5, slices=6, size=32, duplicates=1)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "cohort"
    make_phantom(folder, SMALL, jobs=1)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_layout_is_the_competitions(cohort: Path) -> None:
    labels = pd.read_csv(cohort / "train_labels.csv", dtype={"BraTS21ID": str})
    assert list(labels.columns) == ["BraTS21ID", "MGMT_value"]
    assert sorted(labels["BraTS21ID"]) == sorted(path.name for path in (cohort / "train").iterdir())
    for study_id in labels["BraTS21ID"]:
        assert len(study_id) == 5
        assert study_id.isdigit()
        assert {path.name for path in (cohort / "train" / study_id).iterdir()} == {"FLAIR", "T1w", "T1wCE", "T2w"}
        for folder in (cohort / "train" / study_id).iterdir():
            assert {path.name for path in folder.iterdir()} == {f"Image-{n}.dcm" for n in range(1, 7)}


def test_truth_agrees_with_labels_plan_and_masks(cohort: Path) -> None:
    truth = pd.read_csv(cohort / "truth.csv", dtype={"study_id": str, "person": str}).set_index("study_id")
    labels = pd.read_csv(cohort / "train_labels.csv", dtype={"BraTS21ID": str}).set_index("BraTS21ID")["MGMT_value"]
    for plan in plan_cohort(SMALL):
        row = truth.loc[plan.study_id]
        assert row["z"] == pytest.approx(plan.z)
        assert row["mgmt_value"] == plan.mgmt_value == labels[plan.study_id]
        with np.load(cohort / row["mask_file"]) as known:
            tumour = np.argwhere((known["mask"] == 1) | (known["mask"] == 4))
            places = tumour @ known["affine"][:3, :3].T + known["affine"][:3, 3]
        centre = [row[f"centre_{axis}_mm"] for axis in "lps"]
        assert np.linalg.norm(places.mean(axis=0) - centre) < 6
        for axis, name in enumerate("lps"):
            assert places[:, axis].min() == pytest.approx(row[f"low_{name}_mm"], abs=0.01)
            assert places[:, axis].max() == pytest.approx(row[f"high_{name}_mm"], abs=0.01)


def test_a_duplicate_is_the_same_head_under_another_name(cohort: Path) -> None:
    truth = pd.read_csv(cohort / "truth.csv", dtype={"study_id": str, "person": str})
    copy = truth[truth["study_id"] != truth["person"]].iloc[0]

    def slices(study_id: str) -> dict[float, pydicom.Dataset]:
        files = (cohort / "train" / study_id / "T2w").iterdir()
        return {float(dataset.SliceLocation): dataset for dataset in map(pydicom.dcmread, files)}

    first, second = slices(copy["person"]), slices(copy["study_id"])
    assert first.keys() == second.keys()
    for place in first:
        assert first[place].PixelData == second[place].PixelData
        assert first[place].SOPInstanceUID != second[place].SOPInstanceUID


@given(studies=st.integers(2, 60), seed=st.integers(0, 2**40), signal=st.floats(0, 5))
def test_half_the_labels_are_ones_and_ids_do_not_repeat(studies: int, seed: int, signal: float) -> None:
    plans = plan_cohort(PhantomConfig(studies=studies, seed=seed, signal=signal))
    assert sum(plan.mgmt_value for plan in plans) == studies // 2
    assert len({plan.study_id for plan in plans}) == studies


def test_nothing_but_the_biomarker_follows_the_signal() -> None:
    plans = [plan_cohort(PhantomConfig(studies=10, seed=3, signal=signal)) for signal in (0.0, 2.0)]
    for without, with_signal in zip(*plans, strict=True):
        assert with_signal == dataclasses.replace(without, z=without.z + 2.0 * without.mgmt_value)


def test_the_shortcut_ties_the_scanner_to_the_label() -> None:
    plans = plan_cohort(PhantomConfig(studies=10, shortcut=True))
    assert {(plan.mgmt_value, plan.scanner) for plan in plans} == {(0, 0), (1, 1)}
    assert {plan.scanner for plan in plan_cohort(PhantomConfig(studies=10))} == {None}


def test_realised_auroc_is_that_of_a_large_cohort() -> None:
    plans = plan_cohort(PhantomConfig(studies=2000, signal=1.0))
    zeros, ones = ([plan.z for plan in plans if plan.mgmt_value == label] for label in (0, 1))
    auroc = np.mean(np.array(ones)[:, None] > np.array(zeros)[None, :])
    assert auroc == pytest.approx(best_auroc(1.0), abs=0.03)
    assert best_auroc(0.0) == 0.5
    assert best_auroc(1.0) == pytest.approx(0.7602, abs=1e-4)


def test_same_configuration_gives_the_same_bytes_with_any_number_of_processes(cohort: Path, tmp_path: Path) -> None:
    make_phantom(tmp_path / "again", SMALL, jobs=2)
    assert contents(tmp_path / "again") == contents(cohort)


def test_a_cohort_that_is_there_is_left_as_it_is(cohort: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in cohort.rglob("*")}
    report = make_phantom(cohort, SMALL)
    assert report == read_phantom(cohort)
    assert report.studies == 5
    assert report.best_auroc == pytest.approx(0.9831, abs=1e-4)
    assert {path: path.stat().st_mtime_ns for path in cohort.rglob("*")} == before


def test_other_content_is_never_overwritten(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="holds something else"):
        make_phantom(tmp_path, SMALL, jobs=1)
    with pytest.raises(StorageError, match="holds another synthetic cohort"):
        make_phantom(cohort, SMALL.model_copy(update={"seed": 6}), jobs=1)
    assert (tmp_path / "mine.txt").read_text() == "mine"


class CancelledError(Exception):
    """What a page raises in the progress callback."""


def test_a_cancelled_cohort_does_not_look_whole_and_is_taken_up_again(cohort: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    def cancel(done: int, total: int, what: str = "") -> None:
        seen.append(done)
        if done == 2:
            raise CancelledError

    with pytest.raises(CancelledError):
        make_phantom(tmp_path / "cohort", SMALL, progress=cancel, jobs=1)
    assert not (tmp_path / "cohort").exists()
    seen.clear()
    make_phantom(tmp_path / "cohort", SMALL, progress=lambda done, total, what="": seen.append(done), jobs=1)
    assert seen == [2, 3, 4, 5]
    assert contents(tmp_path / "cohort") == contents(cohort)
    assert [path.name for path in tmp_path.iterdir()] == ["cohort"]


def test_a_folder_is_made_by_one_process_at_a_time(tmp_path: Path) -> None:
    def make_again(done: int, total: int, what: str = "") -> None:
        make_phantom(tmp_path / "cohort", SMALL, jobs=1)

    with pytest.raises(StorageError, match="being made by another"):
        make_phantom(tmp_path / "cohort", SMALL, progress=make_again, jobs=1)


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        make_phantom(tmp_path / "file" / "cohort", SMALL, jobs=1)


def test_synthetic_is_seen_from_folder_train_and_header(cohort: Path, tmp_path: Path) -> None:
    assert is_synthetic(cohort)
    assert is_synthetic(cohort / "train")
    assert not is_synthetic(tmp_path)
    assert json.loads((cohort / "synthetic.json").read_text())["mark"] == SYNTHETIC_MARK
    for path in (cohort / "train").rglob("*.dcm"):
        assert pydicom.dcmread(path, stop_before_pixels=True)[SYNTHETIC_MARK_KEYWORD].value == SYNTHETIC_MARK


@pytest.mark.parametrize(
    ("values", "name"),
    [({"studies": 1}, "studies"), ({"size": "big"}, "size"), ({"studies": 4, "duplicates": 5}, "duplicates")],
)
def test_a_wrong_configuration_is_told_in_one_line(values: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        PhantomConfig.model_validate(values)
    assert "\n" not in str(caught.value)


def test_sample_study_takes_no_patient_from_the_cohort_of_its_seed(cohort: Path, tmp_path: Path) -> None:
    study = make_sample_study(tmp_path, seed=SMALL.seed, mgmt_value=1, slices=6, size=32)
    assert {path.name for path in study.iterdir()} == {"FLAIR", "T1w", "T1wCE", "T2w"}
    pixels = {pydicom.dcmread(path).PixelData for path in study.rglob("*.dcm")}
    others = {pydicom.dcmread(path).PixelData for path in (cohort / "train").rglob("*.dcm")}
    assert len(pixels & others) <= 1  # a blank slice is like any other
