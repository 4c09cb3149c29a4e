"""One synthetic study: geometry that is true, and a counterfactual twin that differs inside the tumour alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from core.phantom.study import StudyPlan, write_study

PLAN = StudyPlan(study_id="20000", person="20000", seed=11, index=0, mgmt_value=0, z=-1.0, slices=16, size=64)


def read_sorted(folder: Path) -> list[pydicom.FileDataset]:
    datasets = [pydicom.dcmread(path) for path in folder.iterdir()]
    row, column = np.split(np.array(datasets[0].ImageOrientationPatient, float), 2)
    normal = np.cross(row, column)
    return sorted(datasets, key=lambda dataset: float(normal @ np.array(dataset.ImagePositionPatient, float)))


def read_places(datasets: list[pydicom.FileDataset]) -> NDArray[np.float64]:
    """(slices, rows, columns, 3): each voxel's place in LPS millimetres, from the headers alone."""
    places = []
    for dataset in datasets:
        along_row, along_column = np.split(np.array(dataset.ImageOrientationPatient, float), 2)
        row, column = np.mgrid[: dataset.Rows, : dataset.Columns]
        row_mm, column_mm = (float(value) for value in dataset.PixelSpacing)
        place = np.array(dataset.ImagePositionPatient, float)
        places.append(place + (column * column_mm)[..., None] * along_row + (row * row_mm)[..., None] * along_column)
    return np.stack(places)


def in_window(datasets: list[pydicom.FileDataset]) -> NDArray[np.float64]:
    """Grey values 0..1 as the preparation makes them: percentiles 0.5 to 99.5 of the volume's non-zero voxels."""
    volume = np.stack([dataset.pixel_array for dataset in datasets]).astype(float)
    low, high = np.percentile(volume[volume > 0], [0.5, 99.5])
    return np.clip((volume - low) / (high - low), 0, 1) * (volume > 0)


def inside_tumour(places: NDArray[np.float64], truth: Path, margin: int) -> NDArray[np.bool_]:
    """Which voxels lie in core or ring, widened by `margin` voxels of the mask."""
    from scipy.ndimage import binary_dilation

    with np.load(truth) as known:
        mask = np.pad((known["mask"] == 1) | (known["mask"] == 4), 5)
        inverse = np.linalg.inv(known["affine"])
    index = np.rint(places @ inverse[:3, :3].T + inverse[:3, 3]).astype(int) + 5
    within = ((index >= 0) & (index < mask.shape)).all(axis=-1)
    index[~within] = 0
    wide = binary_dilation(mask, iterations=margin) if margin else mask
    return wide[tuple(np.moveaxis(index, -1, 0))] & within


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folders = []
    for name, z in (("low", -1.0), ("high", 4.0)):
        folder = tmp_path_factory.mktemp(name)
        write_study(folder, dataclasses.replace(PLAN, z=z), folder)
        folders.append(folder)
    return folders[0], folders[1]


@pytest.mark.parametrize("sequence", ["FLAIR", "T1w", "T1wCE", "T2w"])
def test_a_twin_differs_inside_the_tumour_and_nowhere_else(twins: tuple[Path, Path], sequence: str) -> None:
    low, high = (read_sorted(folder / PLAN.study_id / sequence) for folder in twins)
    inside = inside_tumour(read_places(low), twins[0] / "20000.npz", margin=4)
    change = np.abs(in_window(low) - in_window(high))
    assert change[~inside].max() < 0.03, "the window gives the biomarker away outside the tumour"
    core = inside_tumour(read_places(low), twins[0] / "20000.npz", margin=0)
    assert change[core].mean() > 0.1, "the trait does not show"


def test_twins_have_the_same_headers_and_box(twins: tuple[Path, Path]) -> None:
    low, high = (sorted(folder.rglob("*.dcm")) for folder in twins)
    assert [path.relative_to(twins[0]) for path in low] == [path.relative_to(twins[1]) for path in high]
    for first, second in zip(low, high, strict=True):
        one, two = (pydicom.dcmread(path, stop_before_pixels=True) for path in (first, second))
        for element in one:
            if element.keyword not in ("WindowCenter", "WindowWidth"):
                assert element == two[element.tag]
    with np.load(twins[0] / "20000.npz") as one, np.load(twins[1] / "20000.npz") as two:
        np.testing.assert_array_equal(one["box_mm"], two["box_mm"])
        assert not np.array_equal(one["mask"], two["mask"])


def test_the_tumour_lies_at_the_same_place_in_every_series(twins: tuple[Path, Path]) -> None:
    with np.load(twins[1] / "20000.npz") as known:
        centre = known["centre_mm"]
    for sequence, dark in (("FLAIR", True), ("T1w", True), ("T1wCE", True), ("T2w", False)):
        datasets = read_sorted(twins[1] / PLAN.study_id / sequence)
        near = np.linalg.norm(read_places(datasets) - centre, axis=-1) < 6
        volume = in_window(datasets)
        around = volume[volume > 0].mean()
        assert near.any()
        assert (volume[near].mean() < around) == dark


def test_blank_slices_stand_at_the_ends_alone(twins: tuple[Path, Path]) -> None:
    for folder in (twins[0] / PLAN.study_id).iterdir():
        filled = [bool(dataset.pixel_array.any()) for dataset in read_sorted(folder)]
        first, last = filled.index(True), len(filled) - filled[::-1].index(True)
        assert all(filled[first:last])
        assert first + len(filled) - last <= 5


def test_patients_differ_in_plane_scanner_and_storage(tmp_path: Path) -> None:
    seen: dict[str, set[object]] = {"planes": set(), "scanners": set(), "signed": set()}
    for index in range(8):
        plan = dataclasses.replace(PLAN, study_id=f"2000{index}", index=index, slices=4, size=32)
        for folder in write_study(tmp_path, plan).iterdir():
            dataset = pydicom.dcmread(folder / "Image-1.dcm")
            seen["planes"].add(dataset.SeriesDescription.split()[-1])
            seen["scanners"].add(dataset.Manufacturer)
            seen["signed"].add(dataset.PixelRepresentation)
    assert seen["planes"] == {"axial", "coronal", "sagittal"}
    assert len(seen["scanners"]) == 3
    assert seen["signed"] == {0, 1}
