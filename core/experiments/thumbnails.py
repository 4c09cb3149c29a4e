"""Pictures made so small that only the coarse look of a slice is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["THUMBNAIL_PX", "make_thumbnails"]

THUMBNAIL_PX = 24


def make_thumbnails(pictures: NDArray[np.uint8], size_px: int = THUMBNAIL_PX) -> NDArray[np.float32]:
    """Shrink pictures by averaging: uint8 (n, size, size) -> float32 (n, size_px * size_px) in grey levels."""
    from PIL import Image

    small = [
        np.asarray(Image.fromarray(picture).resize((size_px, size_px), Image.Resampling.BOX), np.float32)
        for picture in pictures
    ]
    return np.stack(small).reshape(len(pictures), -1)
