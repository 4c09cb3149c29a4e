"""A map lies in the browser's volume where it lies in the patient."""

from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from core.data.volume import VIEWS, find_turn
from core.errors import DataError
from core.explain import volume_map
from core.explain.volume_map import draw_volume
from core.mri import Plane
from tests.data.volumes import draw_head, make_volume


def spot(row: int, column: int, value: float = 1.0) -> NDArray[np.float32]:
    heat = np.zeros((40, 30), np.float32)
    heat[row, column] = value
    return heat


@pytest.mark.parametrize("plane", [Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL])
def test_the_strongest_pixel_of_a_map_lies_at_its_place_in_the_patient(plane: Plane) -> None:
    """Through the written affine the voxel is where the volume's own affine puts the slice's pixel."""
    axes = np.stack(VIEWS[plane], axis=1) * (3.0, 0.5, 0.8)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, (-11.0, 7.0, 40.0)
    volume = replace(make_volume(draw_head()), affine=affine, plane=plane)
    assert find_turn(affine, volume.voxels.shape).plane is plane

    images = draw_volume(volume, {4: spot(9, 21, 0.6), 7: spot(5, 3)})

    heat = nibabel.Nifti1Image.from_bytes(images.heat)
    peak = np.unravel_index(int(heat.get_fdata().argmax()), heat.shape)
    assert peak == (3, 5, 7)
    in_ras = (heat.affine @ [*peak, 1])[:3]
    assert in_ras * [-1, -1, 1] == pytest.approx((affine @ [7, 5, 3, 1])[:3])
    assert images.start_mm == pytest.approx(in_ras)
    assert heat.header.get_zooms() == pytest.approx((0.8, 0.5, 3.0))


def test_the_intensities_are_those_that_the_reader_gives() -> None:
    volume = make_volume(draw_head())
    images = draw_volume(volume, {})
    grey = nibabel.Nifti1Image.from_bytes(images.grey)
    assert np.abs(grey.get_fdata().transpose(2, 1, 0) - volume.array).max() <= 1000 / 65535
    assert grey.header["cal_max"] == pytest.approx(images.window[1])
    assert images.heat == b""
    assert images.start_mm == (-15, -20, -12)


def test_between_two_slices_the_map_is_interpolated_and_beyond_them_there_is_none() -> None:
    images = draw_volume(make_volume(draw_head()), {2: spot(9, 21), 6: spot(9, 21, 0.2)})
    along = nibabel.Nifti1Image.from_bytes(images.heat).get_fdata()[21, 9]
    assert along[2:7] / 255 == pytest.approx([1, 0.8, 0.6, 0.4, 0.2], abs=1 / 255)
    assert not along[:2].any()
    assert not along[7:].any()


def test_a_missing_slice_is_empty_and_the_others_keep_their_places() -> None:
    head = np.full((5, 40, 30), 100, np.float32)
    head[3] = 300
    volume = replace(make_volume(head), offsets_mm=np.array([0, 3, 6, 12, 15.0]))
    images = draw_volume(volume, {3: spot(9, 21)})
    grey = nibabel.Nifti1Image.from_bytes(images.grey).get_fdata()
    assert grey[10, 10] == pytest.approx([100, 100, 100, 0, 300, 100], abs=0.01)
    assert images.start_mm == (-21, -9, -18)


def test_a_large_volume_is_thinned_at_its_true_spacing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_map, "MOST_VOXELS", 12 * 40 * 30 // 8)
    images = draw_volume(make_volume(draw_head()), {4: spot(10, 22), 8: spot(10, 22)})
    grey, heat = (nibabel.Nifti1Image.from_bytes(one) for one in (images.grey, images.heat))
    assert (images.stride, grey.shape, grey.header.get_zooms()) == (2, (15, 20, 6), (2, 2, 6))
    assert heat.get_fdata()[11, 5].tolist() == [0, 0, 255, 255, 255, 0]
    assert np.array_equal(grey.affine[:3, 3], [0, 0, -30])


@pytest.mark.parametrize("volume", [replace(make_volume(draw_head()), in_mm=False), make_volume(draw_head()[:1])])
def test_what_has_no_place_in_the_patient_or_one_slice_is_refused_by_name(volume: volume_map.Volume) -> None:
    with pytest.raises(DataError, match=r"FLAIR images form no volume"):
        draw_volume(volume, {})
