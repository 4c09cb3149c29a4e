"""What the viewer shows of a series: in millimetres where these are known, else by number."""

import struct
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from core.config import PrepConfig
from core.data.index.series import scan_series
from core.data.prepare.slices import prepare_source
from core.mri import MRSequence, Plane
from core.settings import Settings
from tests.data.dicom_files import write_series
from ui.predict.prediction import _lay_back
from ui.widgets.stacks import read_stack

STACK = np.random.default_rng(0).integers(1, 4000, (6, 12, 8)).astype(np.uint16)


def test_a_volume_that_does_not_say_how_it_lies_is_numbered_and_its_map_fits(
    tmp_path: Path, settings: Settings
) -> None:
    content = bytearray(nibabel.Nifti1Image(STACK.T.astype(np.int16), np.diag([1, 1, 5, 1])).to_bytes())
    content[252:256] = struct.pack("<2h", 0, 0)
    (tmp_path / "flair.nii").write_bytes(content)
    (series,) = scan_series("1", [tmp_path / "flair.nii"], tmp_path, settings).series
    stack, _ = read_stack(series)
    assert (stack.in_mm, stack.plane) == (False, Plane.UNKNOWN)
    assert stack.positions.tolist() == [1, 2, 3, 4, 5, 6]
    prepared = prepare_source((series,), PrepConfig(size_px=32, crop=False))
    assert _lay_back(np.ones((32, 32), np.float32), prepared, 0, stack).shape == stack.pixels.shape[1:]


def test_slices_whose_positions_are_known_are_shown_by_them_without_a_pixel_spacing(
    tmp_path: Path, settings: Settings
) -> None:
    paths = write_series(tmp_path, STACK, PixelSpacing=None)
    (series,) = scan_series("1", paths, tmp_path, settings, MRSequence.FLAIR).series
    stack, _ = read_stack(series)
    assert stack.in_mm
    np.testing.assert_allclose(np.diff(stack.positions), 3)


def test_every_page_of_a_picture_is_a_slice(tmp_path: Path, settings: Settings) -> None:
    pages = [Image.fromarray((STACK[number] // 16).astype(np.uint8)) for number in range(4)]
    pages[0].save(tmp_path / "flair.tif", save_all=True, append_images=pages[1:])
    (series,) = scan_series("1", [tmp_path / "flair.tif"], tmp_path, settings).series
    stack, _ = read_stack(series)
    assert (len(stack.pixels), stack.positions.tolist(), set(stack.files)) == (4, [1, 2, 3, 4], {"flair.tif"})
