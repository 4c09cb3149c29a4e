"""Heads painted in one grey: what is left of an image when the brain, and the tumour with it, is taken out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, label  # type: ignore[attr-defined]

HEAD_GREY = 128


def blank_heads(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint each image's head, its largest connected bright region with its holes, in one grey.

    What lies outside the head stays as it is. (n, size, size) -> (n, size, size); not changed.
    """
    blanked = images.copy()
    for image in blanked:
        regions, count = label(image > 0)
        if count:
            head = regions == 1 + np.bincount(regions.ravel())[1:].argmax()
            image[binary_fill_holes(head)] = HEAD_GREY
    return blanked
