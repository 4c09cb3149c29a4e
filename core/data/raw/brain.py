"""Brain extraction by deepbet (Fisch 2024), of whose package the two trained networks are used.

deepbet's own code needs two libraries under the LGPL for filling holes and finding components; its networks are applied here
as it applies them, and SciPy does these two. Source: deepbet 1.0.2, MIT licence.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, label  # type: ignore[attr-defined]
from torch.nn import functional

from core.data.raw.config import INSTALL
from core.errors import ConfigError

SMALL, LARGE = (128, 128, 128), (256, 256, 256)
"""Sizes that the two networks take: one finds the box, the other the brain in it."""
MARGIN = 0.1
"""Added to every side of the box, as a share of its size."""
FILLED = 0.02
"""Share of a plane that must be brain for the box to reach it."""


def extract_brain(array: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where the brain is in a T1w image.

    Parameters
    ----------
    array
        (right to left, posterior to anterior, inferior to superior): axes in RAS, as the networks were trained.

    Returns
    -------
    ndarray
        Of the same shape: the largest region with its holes, empty where the networks find no brain.

    Raises
    ------
    ConfigError
        deepbet is not installed; the message says how to install it.
    """
    find_box, find_brain = (_load(name) for name in ("bbox_model.pt", "model.pt"))
    image = torch.nan_to_num(torch.from_numpy(np.ascontiguousarray(array, np.float32)))
    with torch.inference_mode():
        small = functional.interpolate(image[None, None], SMALL, mode="nearest-exact")[0, 0]
        low, high = small.quantile(0.005), small.quantile(0.995)
        if not high > low:
            return np.zeros(array.shape, np.bool_)
        rough = _largest(find_box(_normalise(small, low, high)[None, None])[0, 1].numpy() > 0.5)
        box = _box(rough, array.shape)
        if box is None:
            return np.zeros(array.shape, np.bool_)
        cut = functional.interpolate(image[box][None, None], LARGE, mode="nearest-exact")
        shares = find_brain(_normalise(cut[0, 0], low, high)[None, None])[:, 1:2]
        back = functional.interpolate(shares, image[box].shape, mode="nearest-exact")[0, 0].numpy()
    mask = np.zeros(array.shape, np.bool_)
    mask[box] = binary_fill_holes(_largest(back > 0.5))
    return mask


@lru_cache(maxsize=2)
def _load(name: str) -> torch.jit.ScriptModule:
    try:
        package = importlib.metadata.distribution("deepbet")
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(f"Brain extraction needs deepbet, which is not installed: {INSTALL}") from error
    path = Path(str(package.locate_file(f"data/models/{name}")))
    if not path.is_file():
        raise ConfigError(f"deepbet is installed without its networks ({path.name}); install it again: {INSTALL}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the networks exist in this format alone
        model = torch.jit.load(str(path), map_location="cpu")
    return model.eval()


def _normalise(image: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    grey = ((image - low) / (high - low)).clamp(0, 1)
    return 0.226 * (grey - grey.mean()) / grey.std() + 0.449


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    regions, count = label(mask)
    return np.asarray(regions == 1 + np.bincount(regions.ravel())[1:].argmax(), np.bool_) if count else mask


def _box(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[slice, slice, slice] | None:
    """Return the box around a mask, in voxels of an image of another shape; None around nothing."""
    sides = []
    for axis, size in enumerate(shape):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(mask.mean(axis=others) > FILLED)
        if not filled.size:
            return None
        scale = size / mask.shape[axis]
        middle = scale * (filled[-1] + 1 + filled[0]) / 2
        half = (1 + 2 * MARGIN) * scale * (filled[-1] + 1 - filled[0]) / 2
        sides.append(slice(max(0, int(round(middle) - half)), min(size, int(round(middle) + half))))
    return sides[0], sides[1], sides[2]
