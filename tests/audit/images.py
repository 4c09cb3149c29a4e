"""Heads that differ from seed to seed and drift from slice to slice, as images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def draw_head(seed: int, index: int = 0, size: int = 64) -> NDArray[np.float32]:
    """One slice of one head, 0..255: an ellipse filled with lumps that are the seed's own and drift with `index`."""
    rng = np.random.default_rng(seed)
    lumps = gaussian_filter(rng.normal(size=(size + 64, size)), 4)[index : index + size]
    rows, columns = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    inside = (rows / rng.uniform(0.7, 0.9)) ** 2 + (columns / rng.uniform(0.55, 0.8)) ** 2 < 1
    grey = 128 + 60 * lumps / lumps.std()
    return np.where(inside, np.clip(grey, 20, 255), 0).astype(np.float32)


def save(path: Path, image: NDArray[np.float32], **options: object) -> Path:
    """Write an image; the suffix decides the format."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(image.round(), 0, 255).astype(np.uint8)).save(path, **options)
    return path
