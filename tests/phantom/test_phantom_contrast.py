"""From tissue to brightness: each sequence's order of tissues, and slices where the geometry says."""

from __future__ import annotations

import numpy as np
import pytest

from core.mri import MRSequence, Plane
from core.phantom.anatomy import Brain, draw_brain
from core.phantom.contrast import Acquisition, draw_image, sample_slices
from core.phantom.fields import FloatArray, Grid
from core.phantom.tumour import Tumour, draw_site, draw_tumour


@pytest.fixture(scope="module")
def head() -> tuple[Brain, Tumour]:
    site = draw_site(np.random.default_rng(0))
    brain = draw_brain(np.random.default_rng(1), push_centre_mm=site.centre_mm, push_mm=site.push_mm)
    return brain, draw_tumour(np.random.default_rng(2), site, brain.white, brain.depth_mm, 1.5)


ORDER = {
    MRSequence.T1W: ("fluid", "grey", "white"),
    MRSequence.T1WCE: ("fluid", "grey", "white", "ring", "dura"),
    MRSequence.T2W: ("white", "grey", "oedema", "fluid"),
    MRSequence.FLAIR: ("fluid", "white", "grey", "oedema", "dura"),
}


@pytest.mark.parametrize("sequence", ORDER)
def test_tissues_are_as_bright_as_the_sequence_makes_them(head: tuple[Brain, Tumour], sequence: MRSequence) -> None:
    brain, tumour = head
    image = draw_image(brain, tumour, sequence, np.random.default_rng(3))
    inside = (brain.mask > 0.99) & (brain.dura == 0)
    healthy = inside & (tumour.core + tumour.ring + tumour.oedema < 0.01)
    brightness = {
        name: image[healthy & (getattr(brain, name) > 0.95)].mean() for name in ("fluid", "grey", "white")
    } | {name: image[inside & (getattr(tumour, name) > 0.95)].mean() for name in ("core", "ring", "oedema")}
    brightness["dura"] = image[brain.dura == 1].mean()
    order = [brightness[name] for name in ORDER[sequence]]
    assert order == sorted(order)
    assert abs(brightness["core"] - brightness["ring"]) > 0.25, "the trait must show in every sequence"


@pytest.mark.parametrize("plane", [Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL])
def test_a_pixel_shows_what_lies_at_its_place(plane: Plane) -> None:
    grid = Grid(spacing_mm=2.0, shape=(20, 24, 28))
    left, posterior, superior = grid.coordinates()
    image: FloatArray = (10 + 0.01 * left + 0.02 * posterior + 0.03 * superior).astype(np.float32)
    acquisition = Acquisition(
        plane=plane, positions_mm=(-6.0, 1.0, 8.0), thickness_mm=4.0, pixel_mm=1.5, size_px=12, shift_mm=(1.0, -2.0)
    )
    mask = np.ones(grid.shape, np.float32)
    picture = sample_slices(image * 1e4, mask, grid, acquisition, np.random.default_rng(0)) / 1e4
    step = (np.arange(12) - 5.5) * 1.5
    rows, columns = (step if plane is Plane.AXIAL else -step) + 1.0, step - 2.0
    across = np.array(acquisition.positions_mm)
    slope = {"axial": (0.03, 0.02, 0.01), "coronal": (0.02, 0.03, 0.01), "sagittal": (0.01, 0.03, 0.02)}[plane]
    expected = (
        10 + slope[0] * across[:, None, None] + slope[1] * rows[None, :, None] + slope[2] * columns[None, None, :]
    )
    np.testing.assert_allclose(picture, expected, atol=2e-3)


def test_what_is_stripped_is_exactly_zero_and_the_rest_is_not(head: tuple[Brain, Tumour]) -> None:
    brain, tumour = head
    image = draw_image(brain, tumour, MRSequence.FLAIR, np.random.default_rng(3))
    acquisition = Acquisition(
        plane=Plane.AXIAL, positions_mm=(-200.0, 0.0), thickness_mm=4.0, pixel_mm=3.5, size_px=64, shift_mm=(0.0, 0.0)
    )
    blank, middle = sample_slices(image, brain.mask, brain.grid, acquisition, np.random.default_rng(4))
    assert not blank.any()
    assert (middle[:4] == 0).all()
    assert (middle[28:36, 28:36] > 0).all()
