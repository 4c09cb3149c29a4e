"""Thumbnails: images so small that only coarse grey levels are left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_PX = 24


def make_thumbnails(images: NDArray[np.uint8], size_px: int = THUMBNAIL_PX) -> NDArray[np.float32]:
    """Shrink images by averaging: uint8 (n, size, size) -> float32 (n, size_px * size_px) in grey levels."""
    small = [
        np.asarray(Image.fromarray(image).resize((size_px, size_px), Image.Resampling.BOX), np.float32)
        for image in images
    ]
    return np.stack(small).reshape(len(images), -1)
