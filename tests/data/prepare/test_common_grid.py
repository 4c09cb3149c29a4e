from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.data.cohort import scan_cohort
from core.data.index.series import scan_series
from core.data.prepare.common_grid import Grid, common_grid, resample_to
from core.data.volume import Volume, read_volume
from core.errors import DataError, LimitError
from core.mri import MRSequence, Plane
from core.settings import Settings
from tests.data.dicom_files import AXIAL, CORONAL, SAGITTAL, write_mr, write_series

LANDMARK_MM = np.array([7.3, -11.8, 4.6])
TILTED = (np.cos(0.2), 0.0, np.sin(0.2), 0.0, 1.0, 0.0)
STUDY = {
    MRSequence.FLAIR: (AXIAL, 3.0, 1.5),
    MRSequence.T1W: (SAGITTAL, 2.0, 1.0),
    MRSequence.T1WCE: (CORONAL, 2.5, 1.25),
    MRSequence.T2W: (TILTED, 3.0, 1.0),
}


def draw_series(folder: Path, orientation: tuple[float, ...], step_mm: float, pixel_mm: float) -> list[Path]:
    """A head with one soft landmark, sampled as a scanner would in that plane."""
    row, column = np.reshape(orientation, (2, 3))
    normal = np.cross(row, column)
    count, size = int(70 / step_mm), int(80 / pixel_mm)
    origin = -normal * count / 2 * step_mm - (row + column) * size / 2 * pixel_mm
    k, j, i = np.indices((count, size, size))
    places = origin + k[..., None] * step_mm * normal + pixel_mm * (j[..., None] * column + i[..., None] * row)
    distance = np.linalg.norm(places - LANDMARK_MM, axis=-1)
    array = (2000 * np.exp(-((distance / 6) ** 2))).astype(np.uint16)
    return write_series(
        folder, array, orientation=orientation, step_mm=step_mm, origin=origin, PixelSpacing=[pixel_mm, pixel_mm]
    )


def centre(array: NDArray[np.float32]) -> NDArray[np.float64]:
    weights = array.astype(np.float64) - array.min()
    return np.array([(np.indices(array.shape)[axis] * weights).sum() / weights.sum() for axis in range(3)])


def centre_mm(volume: Volume) -> NDArray[np.float64]:
    place: NDArray[np.float64] = (volume.affine @ [*centre(volume.array), 1])[:3]
    return place


def test_a_landmark_is_the_same_voxel_in_all_four_sequences(tmp_path: Path) -> None:
    for sequence, (orientation, step_mm, pixel_mm) in STUDY.items():
        draw_series(tmp_path / "00001" / sequence, orientation, step_mm, pixel_mm)
    (study,) = scan_cohort(tmp_path).studies
    volumes = [read_volume(series)[0] for series in study.series]
    assert {volume.plane for volume in volumes} == {Plane.AXIAL, Plane.SAGITTAL, Plane.CORONAL}
    grid = common_grid(volumes, 2.0)
    expected = grid.index_of(LANDMARK_MM)
    for volume in volumes:
        moved = resample_to(volume, grid)
        assert (moved.plane, moved.array.shape, moved.sequence) == (Plane.AXIAL, grid.shape, volume.sequence)
        np.testing.assert_allclose(centre(moved.array), expected, atol=0.5)
        assert moved.array.max() > 1700


def test_the_grid_is_axial_and_holds_every_voxel(tmp_path: Path) -> None:
    volumes = [
        read_volume(scan_series("1", draw_series(tmp_path / name, *STUDY[name]), tmp_path, _settings()).series[0])[0]
        for name in (MRSequence.T1W, MRSequence.T2W)
    ]
    grid = common_grid(volumes, (3.0, 1.0, 2.0))
    np.testing.assert_allclose(grid.affine[:3, :3], [[0, 0, 2], [0, 1, 0], [3, 0, 0]])
    for volume in volumes:
        for corner in np.ndindex(2, 2, 2):
            index = np.array(corner) * (np.array(volume.array.shape) - 1)
            place = grid.index_of((volume.affine @ [*index, 1])[:3])
            assert (place > -1e-6).all()
            assert (place < np.array(grid.shape) - 1 + 1e-6).all()


def test_its_own_grid_leaves_a_volume_as_it_is(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(1, 999, (5, 6, 7)).astype(np.uint16)
    paths = write_series(tmp_path / "FLAIR", array, PixelSpacing=[0.7, 0.3], step_mm=1.1)
    volume, _ = read_volume(scan_series("1", paths, tmp_path, _settings()).series[0])
    for order in ("linear", "nearest"):
        again = resample_to(volume, common_grid([volume], volume.spacing_mm), order)  # type: ignore[arg-type]
        np.testing.assert_allclose(again.array, volume.array, rtol=1e-4)


def test_missing_slices_stay_where_they_are_missing(tmp_path: Path) -> None:
    array = np.zeros((12, 5, 5), np.uint16)
    array[8] = 1000
    paths = write_series(tmp_path / "FLAIR", array, step_mm=2)
    kept = [path for index, path in enumerate(paths) if index not in (3, 4)]
    volume, faults = read_volume(scan_series("1", kept, tmp_path, _settings()).series[0])
    assert "slices may be missing" in faults[0].reason
    moved = resample_to(volume, common_grid([volume], (2, 1, 1)))
    assert moved.array.shape == array.shape
    np.testing.assert_allclose(moved.array, array)


def test_what_has_no_place_or_no_size_is_refused(tmp_path: Path, settings: Settings) -> None:
    paths = [write_mr(tmp_path / "FLAIR" / "a.dcm", position=None, orientation=None)]
    lost, _ = read_volume(scan_series("1", paths, tmp_path, settings).series[0])
    with pytest.raises(DataError, match="without a place"):
        common_grid([lost])
    with pytest.raises(DataError, match="without a place"):
        resample_to(lost, Grid(shape=(1, 1, 1), affine=np.eye(4)))
    placed = replace(lost, plane=Plane.AXIAL, affine=np.eye(4), in_mm=True)
    for spacing in (0.0, float("nan")):
        with pytest.raises(DataError, match="spacing above 0"):
            common_grid([placed], spacing)
    with pytest.raises(DataError, match="found 0"):
        common_grid([])
    with pytest.raises(LimitError, match="wider spacing"):
        common_grid([placed], 1e-9, settings)


@pytest.mark.parametrize(("study", "plane"), [("00430", Plane.AXIAL), ("00008", Plane.SAGITTAL)])
def test_real_series_keep_their_place(shared_data: Path, settings: Settings, study: str, plane: Plane) -> None:
    folder = shared_data / "rsna_dicom" / "train" / study / "FLAIR"
    volume, _ = read_volume(scan_series(study, sorted(folder.iterdir()), folder, settings).series[0])
    assert volume.plane is plane
    moved = resample_to(volume, common_grid([volume], 1.0))
    assert moved.plane is Plane.AXIAL
    np.testing.assert_allclose(centre_mm(moved), centre_mm(volume), atol=0.5)


def test_the_sequences_of_a_real_case_line_up(shared_data: Path, settings: Settings) -> None:
    folder = shared_data / "brats_nifti" / "BraTS-GLI-00001-000"
    scan = scan_series("1", sorted(folder.iterdir()), folder, settings)
    assert [series.sequence for series in scan.series] == [
        MRSequence.FLAIR, MRSequence.T1W, MRSequence.T1WCE, MRSequence.T2W,
    ]  # fmt: skip
    volumes = [read_volume(series, settings)[0] for series in scan.series[:2]]
    grid = common_grid(volumes, 2.0)
    heads = [resample_to(volume, grid, "nearest").array > 0 for volume in volumes]
    assert (heads[0] & heads[1]).sum() / (heads[0] | heads[1]).sum() > 0.99


def _settings() -> Settings:
    from core.settings import load_settings

    return load_settings({})
