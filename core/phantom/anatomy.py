"""The head of one synthetic patient: shares of cerebrospinal fluid, grey and white matter on a grid.

Everything is an implicit function of position, evaluated once per patient: ellipsoids for the lobes, tubes for
the ventricles, and, for the sulci, the zero sheets of a random field that is stretched along the depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates  # type: ignore[attr-defined]

from core.phantom.fields import GRID, FloatArray, Grid, ramp, random_field

Position = tuple[FloatArray, FloatArray, FloatArray]

BRAIN_HALF_AXES_MM = (66.0, 82.0, 66.0)
BRAIN_HALF_AXES_SD_MM = (3.5, 4.5, 3.0)
TILT_SD_DEGREES = 5.0
SHIFT_SD_MM = 2.5
SULCUS_WAVELENGTH_MM = 19.0
SULCUS_DEPTH_MM = 24.0
RIBBON_MM = 3.2
DURA_SHARE = 0.019
"""Share of the brain's voxels that are dura: more than percentile windows cut off, in every head alike."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Brain:
    """Shares 0..1 per voxel, each of the grid's shape; fluid, grey, white and vessel sum to 1 inside the mask."""

    grid: Grid
    fluid: FloatArray
    grey: FloatArray
    white: FloatArray
    vessel: FloatArray
    dura: FloatArray
    mask: FloatArray
    """Share of the voxel that belongs to the skull-stripped brain."""
    depth_mm: FloatArray
    """Distance below the brain's surface, roughly; negative outside."""


def draw_brain(rng: np.random.Generator, *, push_centre_mm: tuple[float, float, float], push_mm: float) -> Brain:
    """Draw a head.

    Parameters
    ----------
    rng
        The patient's stream for anatomy.
    push_centre_mm
        Middle of the tumour, which pushes tissue away.
    push_mm
        How far it pushes.
    """
    position = _head_position(rng, push_centre_mm, push_mm)
    size = 1 + np.array(BRAIN_HALF_AXES_SD_MM) / BRAIN_HALF_AXES_MM * rng.standard_normal(3)
    left, posterior, superior = (axis / np.float32(scale) for axis, scale in zip(position, size, strict=True))
    position = (left, posterior, superior)

    cerebrum, cerebellum, stem = _lobes(position, rng)
    depth = np.maximum(np.maximum(cerebrum, cerebellum), stem)
    mask = ramp(depth, 1.8)

    atrophy = rng.normal(0, 0.3)
    sulcus, crossing = _sulci(position, cerebrum, rng)
    # Half the width of a sulcus: it narrows with depth and closes at its floor.
    below = np.clip(cerebrum, 0, None)
    floor = SULCUS_DEPTH_MM * (1 + 0.2 * random_field(rng, GRID, 40.0, waves=24))
    gap = 1.35 + atrophy - 0.03 * below - 4.0 * np.clip(below * 2 / floor - 1, 0, None)
    ventricle = _ventricles(position, np.float32(np.exp(rng.normal(0.1, 0.3))), rng)
    fluid = np.maximum(ramp(gap - sulcus, 1.6), ramp(ventricle, 1.6))
    fluid = np.maximum(fluid, ramp(0.9 + 0.5 * atrophy - depth, 1.5))
    is_cerebrum = ramp(cerebrum - np.maximum(cerebellum, stem), 2.0)
    fluid *= np.maximum(is_cerebrum, ramp(1.0 - depth, 1.5))

    ribbon = np.maximum(ramp(gap + RIBBON_MM - sulcus, 1.8), ramp(RIBBON_MM + 0.6 - cerebrum, 1.8))
    ribbon = np.maximum(ribbon, 0.75 * ramp(_nuclei(position), 3.0))
    grey = is_cerebrum * ribbon + (1 - is_cerebrum) * _cerebellar_grey(position, cerebellum, stem)
    fluid = np.maximum(fluid, ramp(_small_ventricles(position), 1.6))

    vessel, dura = _vessels_and_dura(position, depth, sulcus, crossing, rng)
    tissue = 1 - vessel
    fluid = fluid * tissue
    grey = grey * (tissue - fluid)
    return Brain(
        grid=GRID,
        fluid=fluid,
        grey=grey,
        white=tissue - fluid - grey,
        vessel=vessel,
        dura=dura,
        mask=mask,
        depth_mm=depth,
    )


def _head_position(rng: np.random.Generator, centre_mm: tuple[float, float, float], push_mm: float) -> Position:
    """Position in the head's own axes: tilted, shifted, warped, and pushed aside by the tumour."""
    axes = GRID.coordinates()
    offset = [axis - np.float32(c) for axis, c in zip(axes, centre_mm, strict=True)]
    near = np.exp(-(offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2) / np.float32(2 * 24.0**2))
    pushed = [axis - np.float32(push_mm / 24.0) * near * d for axis, d in zip(axes, offset, strict=True)]
    rotation = rotation_matrix(np.deg2rad(rng.normal(0, TILT_SD_DEGREES, 3))).astype(np.float32)
    shift = rng.normal(0, SHIFT_SD_MM, 3).astype(np.float32)
    turned = [sum(rotation[row, k] * pushed[k] for k in range(3)) + shift[row] for row in range(3)]
    left, posterior, superior = (axis + 2.2 * random_field(rng, GRID, 60.0, waves=24) for axis in turned)
    return left, posterior, superior


def rotation_matrix(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn (3,) angles in radians about the three axes, applied in turn, into a (3, 3) rotation."""
    (a, b, c), eye = angles, np.eye(3)
    matrix = eye
    for axis, angle in ((0, a), (1, b), (2, c)):
        step = eye.copy()
        i, j = (axis + 1) % 3, (axis + 2) % 3
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        matrix = step @ matrix
    return matrix


def _ellipsoid(
    position: Position, centre: tuple[float, float, float], half_axes: tuple[float, float, float]
) -> FloatArray:
    """Distance below the surface of an ellipsoid in millimetres, roughly; negative outside."""
    scaled = [
        (axis - np.float32(c)) * np.float32(1 / h) for axis, c, h in zip(position, centre, half_axes, strict=True)
    ]
    radius = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    return (1 - radius) * np.float32(np.cbrt(np.prod(half_axes)))


def _lobes(position: Position, rng: np.random.Generator) -> Position:
    """Depth below the surface of cerebrum (with temporal lobes), cerebellum and brainstem."""
    left, posterior, superior = position
    wide, long, tall = BRAIN_HALF_AXES_MM
    # Wider behind than in front, and flat below.
    across = left / (1 + np.float32(0.0011) * posterior) * np.float32(1 / wide)
    along = posterior * np.float32(1 / long)
    lower = np.float32(rng.normal(43, 2))
    upward = np.where(superior > 0, superior * np.float32(1 / tall), superior / lower)
    radius = (np.abs(across) ** 2.25 + np.abs(along) ** 2.25 + np.abs(upward) ** 2.25) ** np.float32(1 / 2.25)
    cerebrum = (1 - radius) * 68
    mirrored = (np.abs(left), posterior, superior)
    temporal = _ellipsoid(mirrored, (37, 2 + float(rng.normal(0, 2)), -31), (24, 45, 23))
    cerebellum = _ellipsoid(mirrored, (17, 45 + float(rng.normal(0, 2)), -42), (34, 29, 24))
    stem = _ellipsoid(position, (0, 20, -41), (13, 15, 31))
    return np.maximum(cerebrum, temporal), cerebellum, stem


def _sulci(position: Position, cerebrum: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Distance in millimetres from the nearest sulcus, and a second field whose zeros cross the sulci."""
    left, posterior, superior = position
    field = random_field(rng, GRID, SULCUS_WAVELENGTH_MM, spread=0.2, waves=64)
    crossing = random_field(rng, GRID, 28.0)
    # Read the field along rays, drawn out towards the surface, so that sulci run inwards.
    near = cerebrum < SULCUS_DEPTH_MM + 6
    near &= cerebrum > -4
    points = np.stack([np.broadcast_to(axis, GRID.shape)[near] for axis in (left, posterior, superior)])
    points *= (62.0 / np.maximum(np.linalg.norm(points, axis=0), 12)) ** np.float32(0.45)
    index = points / np.float32(GRID.spacing_mm) + (np.array(GRID.shape, np.float32)[:, None] - 1) / 2
    sulcus = np.full(GRID.shape, 50.0, np.float32)
    slope = np.float32(SULCUS_WAVELENGTH_MM / (2 * np.pi) * np.sqrt(3))
    sulcus[near] = np.abs(map_coordinates(field, index, order=1, mode="reflect")) * slope * 0.75
    return np.minimum(sulcus, _fissures(position)), crossing


def _fissures(position: Position) -> FloatArray:
    """Distance from the fissure between the hemispheres and from the Sylvian fissures, in millimetres."""
    left, posterior, superior = position
    callosum = _ellipsoid((left * 0.01, posterior, superior), (0, 2, 4), (30, 42, 24))
    between = np.abs(left) + 1.5 * np.clip(callosum + 1.5, 0, None) - 0.4
    across = np.abs(left)
    sheet = superior + 11 - 0.22 * posterior
    lateral = np.clip(30 - across, 0, None) + np.clip(np.abs(posterior + 4) - 34, 0, None)
    sylvian = np.sqrt((0.8 * sheet) ** 2 + lateral**2) - 0.6
    return np.minimum(between, sylvian)


def _ventricles(position: Position, size: np.float32, rng: np.random.Generator) -> FloatArray:
    """Distance inside the lateral ventricles in millimetres, each side of a size of its own."""
    left, posterior, superior = position
    uneven = np.float32(1 + rng.normal(0, 0.08))
    scale = np.where(left > 0, size * uneven, size / uneven)
    along = np.clip((posterior - 3) / 36, -1.2, 1.3)
    middle = 6.5 + 4.0 * along**2 + 7.0 * np.clip(along, 0, None)
    height = 15 - 6 * along**2 - 4 * np.clip(along, 0, None)
    taper = np.sqrt(np.clip(1 - along**2, 0, 1))
    wide = (3.2 + 2.2 * np.clip(along, 0, None)) * scale * taper + 0.2
    tall = (6.5 + 3.0 * np.clip(along, 0, None)) * np.sqrt(scale) * taper + 0.2
    # The frontal horns lean outwards as they rise.
    lean = 0.45 * (superior - height)
    radius = np.sqrt(((np.abs(left) - middle - lean) / wide) ** 2 + ((superior - height) / tall) ** 2)
    return (1 - radius) * wide


def _small_ventricles(position: Position) -> FloatArray:
    """Distance inside the third and fourth ventricle and the cisterns around the brainstem."""
    third = _ellipsoid(position, (0, 2, -3), (2.2, 13, 10))
    fourth = _ellipsoid(position, (0, 33, -41), (7, 4.5, 8))
    cistern = _ellipsoid(position, (0, 6, -27), (14, 8, 4))
    return np.maximum(np.maximum(third, fourth), cistern)


def _nuclei(position: Position) -> FloatArray:
    """Distance inside thalamus, putamen and caudate nucleus, both sides."""
    mirrored = (np.abs(position[0]), position[1], position[2])
    thalamus = _ellipsoid(mirrored, (9.5, 9, 2), (7.5, 13, 9))
    putamen = _ellipsoid((mirrored[0] - 0.25 * position[1], *position[1:]), (25, -4, 2), (5, 16, 10))
    caudate = _ellipsoid(mirrored, (13.5, -19, 11), (4.5, 9, 9))
    return np.maximum(np.maximum(thalamus, putamen), caudate)


def _cerebellar_grey(position: Position, cerebellum: FloatArray, stem: FloatArray) -> FloatArray:
    """Share of grey matter in cerebellum and brainstem: folia as thin leaves around the depth."""
    leaves = np.sin((position[2] + 0.5 * position[1]) * np.float32(2 * np.pi / 7.0))
    cortex = ramp(9.0 + 2.5 * leaves - cerebellum, 3.0)
    return np.where(cerebellum > stem, cortex, np.float32(0.25))


def _vessels_and_dura(
    position: Position, depth: FloatArray, sulcus: FloatArray, crossing: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Shares of vessel (lines in the sulci, the sagittal sinus) and of dura (patches of the surface)."""
    left, posterior, superior = position
    lines = ramp(1.0 - np.hypot(sulcus, 10.0 * crossing), 1.5)
    sinus = 4.2 - np.hypot(left, np.clip(depth - 1.2, 0, None) * 0.8)
    sinus = ramp(sinus, 1.5) * ramp(superior - 6 + 0.25 * posterior, 6.0)
    inside = depth > 0
    patches = random_field(rng, GRID, 34.0, spread=0.4) - 0.7 * np.abs(depth - 1.5)
    limit = np.quantile(patches[inside], 1 - DURA_SHARE)
    return np.maximum(lines, sinus), ((patches > limit) & inside).astype(np.float32)
