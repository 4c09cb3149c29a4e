"""The tumour of a synthetic patient, and the one trait of it that the latent biomarker drives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.phantom.fields import GRID, FloatArray, ramp, random_field

RADIUS_MM = (21.0, 25.0)
LATERAL_MM = (19.0, 29.0)
JITTER_MM = 7.0
OEDEMA_MM = (5.0, 13.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TumourSite:
    """Where the tumour sits and how large it is: everything of it that does not depend on the biomarker."""

    centre_mm: tuple[float, float, float]
    half_axes_mm: tuple[float, float, float]
    oedema_mm: float
    push_mm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tumour:
    """Shares 0..1 per voxel of the grid; core and ring together do not depend on the biomarker."""

    core: FloatArray
    """Necrosis."""
    ring: FloatArray
    """Enhancing tumour."""
    oedema: FloatArray
    texture: FloatArray
    """Relative brightness inside the tumour, about 1."""

    def labels(self) -> NDArray[np.uint8]:
        """Return the mask in the BraTS convention: 1 necrosis, 2 oedema, 4 enhancing tumour, 0 elsewhere."""
        mask = np.where(self.oedema > 0.5, np.uint8(2), np.uint8(0))
        whole = self.core + self.ring > 0.5
        mask[whole] = np.where(self.core[whole] > self.ring[whole], 1, 4)
        return mask


def necrotic_fraction(z: float) -> float:
    """Radius of the necrotic core as a share of the tumour's radius: the trait, and all that `z` changes.

    It rises with z between 0.15 and 0.87 and is steepest at z = 1.2, between the middles of the cohorts of
    signal 1 and 3. It does not depend on the signal, so that a model of one cohort can be evaluated on another.
    """
    return float(0.15 + 0.72 / (1 + np.exp(-0.9 * (z - 1.2))))


def draw_site(rng: np.random.Generator) -> TumourSite:
    """Draw where the tumour sits: off the midline on either side, near the middle of the brain otherwise."""
    radius = rng.uniform(*RADIUS_MM)
    half_axes = radius * np.exp(rng.normal(0, 0.05, 3))
    centre = (
        rng.choice([-1.0, 1.0]) * rng.uniform(*LATERAL_MM),
        rng.uniform(-JITTER_MM, JITTER_MM) + 2.0,
        rng.uniform(-JITTER_MM, JITTER_MM) + 6.0,
    )
    return TumourSite(
        centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        half_axes_mm=(float(half_axes[0]), float(half_axes[1]), float(half_axes[2])),
        oedema_mm=float(rng.uniform(*OEDEMA_MM)),
        push_mm=float(rng.uniform(3.0, 7.0)),
    )


def draw_tumour(
    rng: np.random.Generator, site: TumourSite, white: FloatArray, depth_mm: FloatArray, z: float
) -> Tumour:
    """Draw the tumour on the grid.

    Parameters
    ----------
    rng
        The patient's stream for the tumour's shape; it never sees `z`.
    site
        Where it sits.
    white
        Share of white matter per voxel: oedema spreads there and spares the cortex.
    depth_mm
        Distance below the brain's surface.
    z
        The biomarker.
    """
    axes = GRID.coordinates()
    scaled = [
        (axis - np.float32(c)) * np.float32(1 / h)
        for axis, c, h in zip(axes, site.centre_mm, site.half_axes_mm, strict=True)
    ]
    size_mm = np.float32(np.cbrt(np.prod(site.half_axes_mm)))
    # Radius 1 is the tumour's surface; the lobulation moves core and surface together.
    radius = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    radius += 0.10 * random_field(rng, GRID, 22.0, spread=0.3)
    inner = radius + 0.045 * random_field(rng, GRID, 11.0, spread=0.3)
    texture = 1 + 0.10 * random_field(rng, GRID, 8.0, spread=0.3)
    spread = radius + 0.12 * random_field(rng, GRID, 30.0)

    whole = ramp((1 - radius) * size_mm, 2.0) * ramp(depth_mm - 1.5, 2.0)
    core = whole * ramp((np.float32(necrotic_fraction(z)) - inner) * size_mm, 2.0)
    reach = ramp((1 - spread) * size_mm + np.float32(site.oedema_mm), 4.0)
    oedema = (1 - whole) * reach * np.clip(white * 1.15, 0.12, 1)
    return Tumour(core=core, ring=whole - core, oedema=oedema, texture=texture)
