"""A synthetic head that is not skull-stripped: a shell of fluid, skull and scalp around the phantom's brain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, distance_transform_edt, map_coordinates  # type: ignore[attr-defined]

from core.data.volume import Volume
from core.data.voxels import Voxels
from core.mri import MRSequence, Plane
from core.phantom.anatomy import draw_brain
from core.phantom.contrast import draw_image
from core.phantom.fields import Grid, random_stream
from core.phantom.tumour import draw_site, draw_tumour

FLUID_MM, SKULL_MM, SCALP_MM = 2.5, 7.0, 6.0
"""Thickness of the subarachnoid space, the skull and the scalp."""
SHELL: dict[MRSequence, tuple[float, float, float]] = {
    MRSequence.T1W: (0.16, 0.10, 0.95),
    MRSequence.T1WCE: (0.14, 0.10, 1.00),
    MRSequence.T2W: (1.05, 0.08, 0.55),
    MRSequence.FLAIR: (0.12, 0.08, 0.60),
}
"""Brightness of fluid, skull and scalp."""
NOISE_SD = 0.02
PAD = 14
"""Voxels of the phantom's grid that are added around it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WholeHead:
    """One head in four sequences, on a grid of its own, without noise."""

    grid: Grid
    images: dict[MRSequence, NDArray[np.float32]]
    """Each of the grid's shape: left, posterior, superior."""
    brain: NDArray[np.bool_]
    """The brain alone, filled."""

    def acquire(
        self,
        sequence: MRSequence,
        pose: NDArray[np.float64],
        spacing_mm: tuple[float, float, float],
        rng: np.random.Generator,
    ) -> Volume:
        """Return an axial series of the head, with Rician noise.

        Parameters
        ----------
        sequence
            Which of the four.
        pose
            (4, 4): from the head's own millimetres to the scanner's. The slices lie along the scanner's axes.
        spacing_mm
            Between slices, rows and columns.
        rng
            Source of the noise.
        """
        affine, shape = self._lay_out(spacing_mm)
        clean = self.sample(self.images[sequence], np.linalg.inv(pose) @ affine, shape)
        real, imaginary = (rng.standard_normal(shape, dtype=np.float32) * np.float32(NOISE_SD) for _ in range(2))
        return Volume(
            voxels=Voxels(np.hypot(clean + real, imaginary) * np.float32(1000)),
            affine=affine,
            sequence=sequence,
            plane=Plane.AXIAL,
            files=(),
        )

    def sample(
        self, image: NDArray[np.float32], affine: NDArray[np.float64], shape: tuple[int, int, int], order: int = 1
    ) -> NDArray[np.float32]:
        """Return an image of the grid on voxels whose (slice, row, column) `affine` takes to the head's millimetres."""
        index = np.indices(shape, dtype=np.float32).reshape(3, -1)
        places = affine[:3, :3] @ index + affine[:3, 3:]
        middle = (np.array(self.grid.shape) - 1)[:, None] / 2
        found = map_coordinates(image, places / self.grid.spacing_mm + middle, order=order, mode="constant")
        return found.reshape(shape).astype(np.float32)

    def _lay_out(self, spacing_mm: tuple[float, float, float]) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
        extent = np.array(self.grid.shape)[::-1] * self.grid.spacing_mm
        counts = np.floor(extent / spacing_mm).astype(int)
        affine = np.zeros((4, 4))
        affine[[2, 1, 0], [0, 1, 2]] = spacing_mm
        affine[[2, 1, 0], 3] = -(counts - 1) / 2 * spacing_mm
        affine[3, 3] = 1
        slices, rows, columns = counts.tolist()
        return affine, (slices, rows, columns)


def draw_whole_head(seed: int, index: int) -> WholeHead:
    """Return the head of one synthetic patient, with tumour, skull and scalp."""
    site = draw_site(random_stream(seed, index, "site"))
    brain = draw_brain(random_stream(seed, index, "anatomy"), push_centre_mm=site.centre_mm, push_mm=site.push_mm)
    tumour = draw_tumour(random_stream(seed, index, "tumour"), site, brain.white, brain.depth_mm, 0.0)
    spacing = brain.grid.spacing_mm
    grid = Grid(spacing_mm=spacing, shape=tuple(size + 2 * PAD for size in brain.grid.shape))  # type: ignore[arg-type]
    inside = np.pad(binary_closing(np.pad(brain.mask > 0.5, PAD), iterations=4)[(slice(PAD, -PAD),) * 3], PAD)
    away = distance_transform_edt(~inside) * spacing
    images = {}
    for sequence, levels in SHELL.items():
        stripped = draw_image(brain, tumour, sequence, random_stream(seed, index, f"contrast {sequence}"))
        image = np.pad(np.where(brain.mask > 0.5, stripped, np.float32(levels[0])), PAD, constant_values=levels[0])
        reached = 0.0
        for thickness, level in zip((FLUID_MM, SKULL_MM, SCALP_MM), levels, strict=True):
            image = np.where(away > reached, np.float32(level), image)
            reached += thickness
        images[sequence] = np.where(away > reached, np.float32(0), image).astype(np.float32)
    return WholeHead(grid=grid, images=images, brain=inside)
