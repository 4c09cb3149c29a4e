import gzip
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.data.study import Series
from core.data.volume import Volume, find_turn, read_volume
from core.data.voxels import Voxels, find_blank_slices
from core.errors import DataError, MixedSeriesError
from core.mri import MRSequence, Plane
from tests.data.dicom_files import AXIAL, CORONAL, SAGITTAL, write_mr, write_series

FEW = hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
STACK = np.random.default_rng(0).integers(0, 4000, (6, 4, 5)).astype(np.uint16)


def series_of(paths: list[Path], kind: str = "dicom") -> Series:
    return Series(
        study_id="00430",
        sequence=MRSequence.FLAIR,
        series_uid="1",
        plane=Plane.UNKNOWN,
        files=tuple(paths),
        kind=kind,  # type: ignore[arg-type]
    )


def place_of(volume: Volume, index: tuple[int, int, int]) -> NDArray[np.float64]:
    place: NDArray[np.float64] = (volume.affine @ [*index, 1])[:3]
    return place


def test_slices_that_share_one_uid_are_no_copies_of_each_other(tmp_path: Path) -> None:
    paths = write_series(tmp_path, STACK, SOPInstanceUID="1.2.3")
    volume, faults = read_volume(series_of(paths))
    assert not faults
    np.testing.assert_array_equal(volume.array, STACK)


@FEW
@given(order=st.permutations(range(6)))
def test_shuffled_files_give_the_same_volume(tmp_path: Path, order: list[int]) -> None:
    names = [f"Image-{number}.dcm" for number in (5, 1, 4, 2, 6, 3)]
    paths = write_series(tmp_path, STACK, names=names)
    volume, faults = read_volume(series_of([paths[index] for index in order]))
    assert not faults
    np.testing.assert_array_equal(volume.array, STACK)
    assert volume.files == tuple(names)
    np.testing.assert_allclose(volume.positions_mm, -30 + 3 * np.arange(6))


@pytest.mark.parametrize(
    ("orientation", "plane", "towards"),
    [
        (AXIAL, Plane.AXIAL, ((0, 0, 1), (0, 1, 0), (1, 0, 0))),
        (CORONAL, Plane.CORONAL, ((0, 1, 0), (0, 0, -1), (1, 0, 0))),
        (SAGITTAL, Plane.SAGITTAL, ((1, 0, 0), (0, 0, -1), (0, 1, 0))),
    ],
)
@pytest.mark.parametrize("step_mm", [3.0, -3.0])
def test_slices_rows_and_columns_run_to_the_radiological_view(
    tmp_path: Path, orientation: tuple[float, ...], plane: Plane, towards: tuple[tuple[int, ...], ...], step_mm: float
) -> None:
    volume, _ = read_volume(series_of(write_series(tmp_path, STACK, orientation=orientation, step_mm=step_mm)))
    assert volume.plane is plane
    assert volume.spacing_mm == pytest.approx((3, 1, 1))
    np.testing.assert_allclose(volume.affine[:3, :3] / volume.spacing_mm, np.transpose(towards), atol=1e-9)
    assert (np.diff(volume.positions_mm) > 0).all()


AXES = st.permutations([0, 1, 2])
FLIPS = st.tuples(st.booleans(), st.booleans(), st.booleans())


@FEW
@given(axes=AXES, flips=FLIPS)
def test_a_nifti_stored_in_any_axis_order_is_the_same_volume(
    tmp_path: Path, axes: list[int], flips: tuple[bool, bool, bool]
) -> None:
    canonical = np.random.default_rng(1).integers(0, 900, (4, 5, 6)).astype(np.int16)
    # RAS: indices run to the right, anterior and superior; slices (superior) are 3 mm apart
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[:3, 3] = (-7, 8, -9)
    nibabel.save(nibabel.Nifti1Image(canonical, affine), tmp_path / "plain.nii.gz")
    stored, stored_affine = canonical, affine
    for axis, flip in enumerate(flips):
        if flip:
            step = np.eye(4)
            step[axis, axis], step[axis, 3] = -1, stored.shape[axis] - 1
            stored, stored_affine = np.flip(stored, axis), stored_affine @ step
    stored, stored_affine = stored.transpose(axes), stored_affine[:, [*axes, 3]]
    nibabel.save(nibabel.Nifti1Image(stored, stored_affine), tmp_path / "odd.nii")
    plain, _ = read_volume(series_of([tmp_path / "plain.nii.gz"], "nifti"))
    odd, _ = read_volume(series_of([tmp_path / "odd.nii"], "nifti"))
    assert plain.plane is odd.plane is Plane.AXIAL
    np.testing.assert_array_equal(plain.array, odd.array)
    np.testing.assert_allclose(plain.affine, odd.affine)
    # the voxel stored at right 3, anterior 4, superior 5 of RAS lies at (-4, 12, 6), in LPS at (4, -12, 6)
    where = np.argwhere(np.isclose(place_of(plain, (5, 0, 0))[2], 6) & (plain.array[5] == canonical[3, 4, 5]))
    assert any(np.allclose(place_of(plain, (5, row, column)), (4, -12, 6)) for row, column in where)


@FEW
@given(transpose=st.booleans(), flips=FLIPS, tilt=st.floats(-0.4, 0.4))
def test_orienting_moves_no_voxel_in_the_patient(transpose: bool, flips: tuple[bool, bool, bool], tilt: float) -> None:
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    directions = turn @ np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=float).T
    directions = directions * np.where(flips, -1, 1) * (3.0, 0.5, 0.8)
    affine = np.eye(4)
    affine[:3, :3] = directions[:, [0, 2, 1]] if transpose else directions
    array = np.arange(24).reshape(2, 3, 4)
    turn = find_turn(affine, array.shape)
    turned, turned_affine, plane = turn.apply(array), turn.affine, turn.plane
    assert plane is Plane.AXIAL
    for index in np.ndindex(array.shape):
        new = np.argwhere(turned == array[index])[0]
        np.testing.assert_allclose(turned_affine @ [*new, 1], affine @ [*index, 1], atol=1e-9)
    np.testing.assert_array_equal(np.sign(np.diag(turned_affine[[2, 1, 0], :3])), 1)


def test_a_faulty_file_is_named_and_the_rest_go_on(tmp_path: Path) -> None:
    paths = write_series(tmp_path, STACK)
    paths[2].write_text("not DICOM")
    volume, faults = read_volume(series_of(paths))
    assert len(volume.array) == 5
    assert faults[0].path == "00430/FLAIR/Image-3.dcm"
    assert "not a DICOM file" in faults[0].reason
    assert faults[1].path == "00430/FLAIR"
    assert "slices may be missing" in faults[1].reason
    # the gap stays a gap
    np.testing.assert_allclose(volume.positions_mm, [-30, -27, -21, -18, -15])


def test_the_odd_orientation_among_many_is_left_out_by_name(tmp_path: Path) -> None:
    paths = write_series(tmp_path, STACK)
    paths.append(write_mr(tmp_path / "scout.dcm", STACK[0], orientation=SAGITTAL))
    volume, faults = read_volume(series_of(paths))
    np.testing.assert_array_equal(volume.array, STACK)
    assert [fault.path for fault in faults] == ["00430/FLAIR/scout.dcm"]
    assert "sagittal" in faults[0].reason


def test_mixed_orientations_and_sizes_are_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "a", STACK) + write_series(tmp_path / "b", STACK, orientation=CORONAL)
    with pytest.raises(MixedSeriesError, match=r"6 of 4 x 5 pixels, coronal.*6 of 4 x 5 pixels, axial"):
        read_volume(series_of(paths))
    paths = write_series(tmp_path / "a", STACK) + write_series(tmp_path / "c", STACK[:, :3])
    with pytest.raises(MixedSeriesError, match="3 x 5"):
        read_volume(series_of(paths))


def test_a_time_series_and_a_mosaic_are_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "a", STACK) + write_series(tmp_path / "b", STACK)
    with pytest.raises(MixedSeriesError, match=r"12 images .* lie at only 6 positions, up to 2 at one"):
        read_volume(series_of(paths))
    mosaic = write_mr(tmp_path / "m.dcm", ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    with pytest.raises(MixedSeriesError, match=r"m\.dcm is a Siemens mosaic"):
        read_volume(series_of([mosaic]))


def test_a_copied_file_is_left_out_by_name(tmp_path: Path) -> None:
    paths = write_series(tmp_path, STACK)
    copy = tmp_path / "Image-2 (copy).dcm"
    copy.write_bytes(paths[1].read_bytes())
    volume, faults = read_volume(series_of([copy, *paths]))
    np.testing.assert_array_equal(volume.array, STACK)
    assert len(faults) == 1
    assert "a copy of" in faults[0].reason


def test_one_slice_with_and_without_a_place(tmp_path: Path) -> None:
    volume, _ = read_volume(series_of([write_mr(tmp_path / "a.dcm", position=(1, 2, 3))]))
    assert volume.array.shape == (1, 4, 5)
    assert volume.spacing_mm == (2, 1, 1)
    assert volume.positions_mm.tolist() == [3]
    bare = [write_mr(tmp_path / f"b{index}.dcm", position=None, orientation=None) for index in (1, 2)]
    volume, _ = read_volume(series_of(bare[:1]))
    assert volume.plane is Plane.UNKNOWN
    with pytest.raises(MixedSeriesError, match="without a position"):
        read_volume(series_of(bare))


def test_the_background_of_an_inverted_volume_is_zero(tmp_path: Path) -> None:
    paths = write_series(tmp_path, 4000 - STACK, PhotometricInterpretation="MONOCHROME1", BitsStored=16, HighBit=15)
    volume, _ = read_volume(series_of(paths))
    np.testing.assert_array_equal(volume.array, STACK - STACK.min())


def test_images_and_unreadable_series_are_no_volumes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="loose images have no place"):
        read_volume(series_of([tmp_path / "a.png"], "picture"))
    (tmp_path / "a.dcm").write_text("x")
    with pytest.raises(DataError, match=r"none of its files can be read.*a\.dcm is not a DICOM file"):
        read_volume(series_of([tmp_path / "a.dcm"]))


def test_damaged_and_unsuited_nifti_files_are_named(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.ones((4, 5, 6, 3), np.int16), np.eye(4))
    nibabel.save(image, tmp_path / "time.nii")
    with pytest.raises(MixedSeriesError, match=r"time\.nii has 4 dimensions"):
        read_volume(series_of([tmp_path / "time.nii"], "nifti"))
    rng = np.random.default_rng(0)
    nibabel.save(nibabel.Nifti1Image(rng.random((9, 9, 9)), np.eye(4)), tmp_path / "cut.nii.gz")
    content = (tmp_path / "cut.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.nii\.gz is damaged"):
        read_volume(series_of([tmp_path / "cut.nii.gz"], "nifti"))
    (tmp_path / "text.nii.gz").write_bytes(gzip.compress(b"hello" * 200))
    with pytest.raises(DataError, match="not a NIfTI image"):
        read_volume(series_of([tmp_path / "text.nii.gz"], "nifti"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_nifti_whose_data_begin_nowhere_is_named(tmp_path: Path, value: float) -> None:
    image = nibabel.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4))
    nibabel.save(image, tmp_path / "odd.nii")
    content = bytearray((tmp_path / "odd.nii").read_bytes())
    content[108:112] = np.float32(value).tobytes()
    (tmp_path / "odd.nii").write_bytes(content)
    with pytest.raises(DataError, match=r"odd\.nii has a damaged header"):
        read_volume(series_of([tmp_path / "odd.nii"], "nifti"))


def test_a_nifti_larger_than_its_limits_is_refused_from_its_header(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((30_000, 30_000, 30_000))
    (tmp_path / "giant.nii.gz").write_bytes(gzip.compress(header.binaryblock + b"\0" * 4))
    with pytest.raises(DataError, match="claims 27,000,000,000,000 voxels"):
        read_volume(series_of([tmp_path / "giant.nii.gz"], "nifti"))


@given(scale=st.floats(0.01, 1000), offset=st.floats(-500, 500))
@hypothesis_settings(max_examples=20, deadline=None)
def test_blank_slices_do_not_depend_on_the_scale(scale: float, offset: float) -> None:
    rng = np.random.default_rng(0)
    array = np.zeros((6, 20, 20), np.float32)
    array[2:5, 5:15, 5:15] = rng.integers(200, 1000, (3, 10, 10))
    array[0, 3, 3] = 900  # a hot pixel
    array[5] = rng.integers(0, 3, (20, 20))  # faint noise
    blank = find_blank_slices(Voxels((array * scale + offset).astype(np.float32)))
    assert blank.tolist() == [True, True, False, False, False, True]


def test_an_empty_volume_is_blank_throughout() -> None:
    assert find_blank_slices(Voxels(np.full((3, 4, 4), 7, np.float32))).all()


@pytest.mark.parametrize(
    ("study", "plane", "shape", "blank"),
    [("00430", Plane.AXIAL, (60, 256, 192), 13), ("00008", Plane.SAGITTAL, (15, 512, 512), 8)],
)
def test_the_real_series(shared_data: Path, study: str, plane: Plane, shape: tuple[int, ...], blank: int) -> None:
    series = series_of(sorted((shared_data / "rsna_dicom" / "train" / study / "FLAIR").iterdir()))
    volume, faults = read_volume(series)
    assert not faults
    assert (volume.plane, volume.array.shape) == (plane, shape)
    assert (np.diff(volume.positions_mm) > 0).all()
    assert find_blank_slices(volume.voxels).sum() == blank
    again, _ = read_volume(replace(series, files=series.files[::-1]))
    np.testing.assert_array_equal(volume.array, again.array)


@pytest.mark.parametrize("folder", ["GE/mr_0004", "GE/mr_0005", "Siemens/mr_0003"])
def test_real_time_series_are_refused(shared_data: Path, folder: str) -> None:
    series = series_of(sorted((shared_data / "dicom_multi_series" / folder).iterdir()))
    with pytest.raises(MixedSeriesError, match=r"time series|mosaic"):
        read_volume(series)


def test_a_real_nifti_case(shared_data: Path) -> None:
    path = next((shared_data / "brats_nifti").rglob("*-t2f.nii.gz"))
    volume, _ = read_volume(series_of([path], "nifti"))
    assert volume.array.shape == (155, 240, 240)
    assert volume.plane is Plane.AXIAL
    assert volume.array.max() > 0
