"""Grey slices and coloured maps as images for the screen."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

COLOURS = Path(__file__).parent / "inferno.csv"
"""Perceptually uniform and readable with every colour vision deficiency (Smith and van der Walt, as in matplotlib)."""


def display_window(
    array: NDArray[np.float32] | NDArray[np.uint8], low: float = 0.5, high: float = 99.5
) -> tuple[float, float]:
    """Return the intensities that are shown as black and white: percentiles of the non-zero voxels.

    Take it over a volume and use it for each of its slices: a window per slice would hide how they differ.
    Where everything is zero or equal, the window is one unit wide.
    """
    voxels = np.asarray(array)
    voxels = voxels[np.isfinite(voxels) & (voxels != 0)]
    if not voxels.size:
        return 0.0, 1.0
    black, white = (float(value) for value in np.percentile(voxels, (low, high)))
    # Zero stays black where all tissue is brighter than zero, as it is in MR.
    black = min(black, 0.0)
    return (black, white) if white > black else (black, black + 1.0)


def to_grey(
    image: NDArray[np.float32] | NDArray[np.uint8], window: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """Turn a slice of any intensity into uint8 grey (same shape), through `window` or its own percentiles."""
    black, white = window or display_window(image)
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), nan=black, posinf=white, neginf=black)
    return (np.clip((values - black) / (white - black), 0, 1) * 255).round().astype(np.uint8)


@lru_cache(maxsize=1)
def colour_table() -> NDArray[np.uint8]:
    """Return the map's colours, (256, 3) uint8 RGB, from weak to strong."""
    table = np.loadtxt(COLOURS, np.uint8, delimiter=",", skiprows=1)
    table.flags.writeable = False
    return table


def blend(
    image: NDArray[np.float32] | NDArray[np.uint8],
    heat: NDArray[np.float32],
    opacity: float,
    window: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Return a slice with a map over it.

    Each pixel is coloured as strongly as the map is there (``opacity * heat``), so that the anatomy under a weak map stays
    grey and visible.

    Parameters
    ----------
    image
        (rows, columns), any intensity; uint8 images are taken as they are.
    heat
        (rows, columns), 0..1.
    opacity
        0 shows the slice alone, 1 the pure colour where the map is strongest.
    window
        Intensities shown as black and white (:func:`display_window`); the slice's own by default.

    Returns
    -------
    ndarray of shape (rows, columns, 3)
        uint8 RGB.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if image.shape != heat.shape:
        raise ValueError(f"The slice is {image.shape} and the map {heat.shape}; lay the map back over the source.")
    grey = image if image.dtype == np.uint8 and window is None else to_grey(image, window)
    strength = np.clip(heat, 0, 1)
    colours = colour_table()[(strength * 255).round().astype(np.uint8)].astype(np.float32)
    alpha = (strength * np.clip(opacity, 0, 1))[..., None]
    return (grey[..., None] * (1 - alpha) + colours * alpha).round().astype(np.uint8)
