"""From anatomy to MR: what each sequence makes of each tissue, and slices sampled from the grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.mri import MRSequence, Plane
from core.phantom.anatomy import Brain
from core.phantom.fields import FloatArray, Grid
from core.phantom.tumour import Tumour

SIGNAL: dict[MRSequence, dict[str, float]] = {
    MRSequence.T1W: {
        "fluid": 0.16, "grey": 0.52, "white": 0.74, "vessel": 0.40, "dura": 0.95, "core": 0.29, "ring": 0.64, "oedema": 0.50,
    },
    MRSequence.T1WCE: {
        "fluid": 0.14, "grey": 0.49, "white": 0.62, "vessel": 1.40, "dura": 1.30, "core": 0.28, "ring": 0.92, "oedema": 0.40,
    },
    MRSequence.T2W: {
        "fluid": 1.05, "grey": 0.50, "white": 0.33, "vessel": 0.06, "dura": 0.30, "core": 0.84, "ring": 0.40, "oedema": 0.76,
    },
    MRSequence.FLAIR: {
        "fluid": 0.12, "grey": 0.56, "white": 0.43, "vessel": 0.30, "dura": 1.15, "core": 0.26, "ring": 0.68, "oedema": 0.93,
    },
}  # fmt: skip
"""Brightness of each tissue, 1 being about white. The brightest of each sequence is never the tumour."""

SIGNAL_SD = 0.035
BIAS_SD = 0.06
NOISE_SD = 0.024

IN_PLANE: dict[Plane, tuple[int, int, int]] = {
    Plane.AXIAL: (2, 1, 0),
    Plane.CORONAL: (1, 2, 0),
    Plane.SAGITTAL: (0, 2, 1),
}
"""Grid axis of slices, rows and columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """The geometry of one series, in the head's own axes."""

    plane: Plane
    positions_mm: tuple[float, ...]
    """Of each slice along the plane's axis, evenly spaced, ascending or descending."""
    thickness_mm: float
    pixel_mm: float
    size_px: int
    shift_mm: tuple[float, float]
    """Of the image's middle along its rows' and its columns' axis."""

    def axis_mm(self, axis: int) -> FloatArray:
        """Pixel centres along the rows' (0) or columns' (1) grid axis; rows of coronal and sagittal run down."""
        centred = (np.arange(self.size_px) - (self.size_px - 1) / 2) * self.pixel_mm
        down = axis == 0 and self.plane is not Plane.AXIAL
        return (-centred if down else centred) + self.shift_mm[axis]


def draw_image(brain: Brain, tumour: Tumour, sequence: MRSequence, rng: np.random.Generator) -> FloatArray:
    """Brightness of one sequence on the grid, with the coil's uneven field but without noise."""
    signal = {name: np.float32(value + rng.normal(0, SIGNAL_SD)) for name, value in SIGNAL[sequence].items()}
    outside = 1 - tumour.core - tumour.ring
    image = np.zeros(brain.grid.shape, np.float32)
    for name in ("fluid", "grey", "white", "vessel"):
        image += signal[name] * getattr(brain, name)
    image += tumour.oedema * (signal["oedema"] - image)
    image *= outside
    image += (signal["core"] * tumour.core + signal["ring"] * tumour.ring) * tumour.texture
    image += brain.dura * outside * (signal["dura"] - image)
    return image * _bias_field(brain.grid, rng)


def _bias_field(grid: Grid, rng: np.random.Generator) -> FloatArray:
    """A quadratic of the coordinates, about 1."""
    left, posterior, superior = (axis / np.float32(80) for axis in grid.coordinates())
    terms = (left, posterior, superior, left**2, posterior**2, superior**2, left * posterior, posterior * superior)
    total: FloatArray = np.ones(grid.shape, np.float32)
    for term in terms:
        total += np.float32(rng.normal(0, BIAS_SD)) * term
    return np.clip(total, 0.5, 1.6)


def sample_slices(
    image: FloatArray, mask: FloatArray, grid: Grid, acquisition: Acquisition, rng: np.random.Generator
) -> FloatArray:
    """Sample a series: (slices, rows, columns), Rician noise inside the brain, exactly zero outside."""
    noise = NOISE_SD * np.exp(rng.normal(0, 0.25))
    shape = (len(acquisition.positions_mm), acquisition.size_px, acquisition.size_px)
    real, imaginary = (rng.standard_normal(shape, dtype=np.float32) * np.float32(noise) for _ in range(2))
    clean = _resample(image, grid, acquisition)
    inside = _resample(mask, grid, acquisition) > 0.5
    return np.where(inside, np.hypot(clean + real, imaginary) + np.float32(1e-3), np.float32(0))


def _resample(array: FloatArray, grid: Grid, acquisition: Acquisition) -> FloatArray:
    """Interpolate linearly in the plane and average over the slice's thickness across it."""
    axes = IN_PLANE[acquisition.plane]
    across = _profile(np.asarray(acquisition.positions_mm), grid.axis_mm(axes[0]), acquisition.thickness_mm)
    rows = _profile(acquisition.axis_mm(0), grid.axis_mm(axes[1]), grid.spacing_mm)
    columns = _profile(acquisition.axis_mm(1), grid.axis_mm(axes[2]), grid.spacing_mm)
    slabs = np.tensordot(across, array, axes=(1, axes[0]))
    # tensordot leaves the other two in grid order, in which the columns' axis comes before the rows'.
    return np.matmul(np.matmul(rows, np.swapaxes(slabs, 1, 2)), columns.T)


def _profile(targets_mm: NDArray[Any], sources_mm: FloatArray, width_mm: float) -> FloatArray:
    """Weights (targets, sources) of a triangle of the given half width; zero beyond the grid's end."""
    width = max(width_mm, float(sources_mm[1] - sources_mm[0]))
    weights = np.clip(1 - np.abs(targets_mm[:, None] - sources_mm[None, :]) / width, 0, None)
    return (weights / np.maximum(weights.sum(axis=1, keepdims=True), 0.5)).astype(np.float32)
