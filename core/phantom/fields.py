"""What the synthetic heads are drawn with: the voxel grid, random fields, and random streams by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
"""float32 throughout: a head has a million voxels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A box of voxels around the origin; its axes run to the patient's left, posterior and superior."""

    spacing_mm: float
    shape: tuple[int, int, int]

    def axis_mm(self, axis: int) -> FloatArray:
        """Voxel centres along one axis in millimetres; the origin is the middle of the box."""
        count = self.shape[axis]
        return ((np.arange(count) - (count - 1) / 2) * self.spacing_mm).astype(np.float32)

    def coordinates(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Left, posterior and superior coordinates, shaped so that they broadcast to the whole grid."""
        left, posterior, superior = (self.axis_mm(axis) for axis in range(3))
        return left[:, None, None], posterior[None, :, None], superior[None, None, :]


GRID = Grid(spacing_mm=1.8, shape=(94, 112, 92))
"""Large enough for the largest head that is drawn."""


def random_stream(seed: int, index: int, purpose: str) -> np.random.Generator:
    """Return the random numbers of one purpose for one patient.

    Each purpose has a stream of its own, so that what is drawn for one (a label, say) cannot shift what is
    drawn for another, and the same patient can be drawn again with one thing changed.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, crc32(purpose.encode()))))


def random_field(
    rng: np.random.Generator, grid: Grid, wavelength_mm: float, *, spread: float = 0.25, waves: int = 48
) -> FloatArray:
    """Draw a smooth Gaussian random field of zero mean and unit variance over the grid.

    It is a sum of plane waves of random direction and phase. A plane wave is a product of one factor per axis,
    so that the sum is one matrix product; this is what makes a head cheap.

    Parameters
    ----------
    rng
        Source of randomness.
    grid
        Where to draw.
    wavelength_mm
        Typical distance from one crest to the next.
    spread
        Relative standard deviation of the wave number: small gives even stripes, large gives lumps of all sizes.
    waves
        Number of plane waves.
    """
    direction = rng.standard_normal((waves, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    number = 2 * np.pi / wavelength_mm * np.clip(1 + spread * rng.standard_normal(waves), 0.2, 2.0)
    phase = rng.uniform(0, 2 * np.pi, waves)
    first, second, third = (
        np.exp(1j * np.outer(grid.axis_mm(axis), number * direction[:, axis])).astype(np.complex64) for axis in range(3)
    )
    plane = (first[:, None, :] * second[None, :, :]).reshape(-1, waves)
    last = (third * np.exp(1j * phase)).astype(np.complex64).T * np.float32(np.sqrt(2 / waves))
    # The real part of a complex product, as one real product of twice the inner length.
    total = np.concatenate([plane.real, plane.imag], axis=1) @ np.concatenate([last.real, -last.imag], axis=0)
    return total.reshape(grid.shape)


def ramp(distance_mm: FloatArray, width_mm: float) -> FloatArray:
    """Turn a signed distance (positive is inside) into a share 0..1 with a soft edge of the given width."""
    return np.clip(distance_mm * np.float32(1 / width_mm) + np.float32(0.5), 0, 1)
