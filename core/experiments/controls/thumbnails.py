"""Images made so small that only the coarse look of a slice is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

THUMBNAIL_PX = 24


def make_thumbnails(images: NDArray[np.uint8], size_px: int = THUMBNAIL_PX) -> NDArray[np.float32]:
    """Shrink images by averaging: uint8 (n, size, size) -> float32 (n, size_px * size_px) in grey levels."""
    from PIL import Image

    small = [
        np.asarray(Image.fromarray(image).resize((size_px, size_px), Image.Resampling.BOX), np.float32)
        for image in images
    ]
    return np.stack(small).reshape(len(images), -1)
