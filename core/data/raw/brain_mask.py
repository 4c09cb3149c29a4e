"""Where the brain is in a study, and whether to believe it; light, for deepbet itself is loaded when it is asked for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import label  # type: ignore[attr-defined]

from core.data.raw.config import INSTALL
from core.data.raw.images import Image, isotropic, voxels_of
from core.data.raw.similarity import CHECK_MM, head_mask
from core.errors import ConfigError

VOLUME_ML = (700.0, 2200.0)
"""Plausible volume of a brain with its ventricles; adults have about 1,000 to 1,900 ml."""
LEAST_IN_HEAD = 0.95
"""Share of the mask that must lie within the head."""
LEAST_IN_ONE = 0.98
"""Share of the mask that must hang together."""
MOST_OFF_MM = 45.0
"""Distance of the mask's middle from the head's, along the two axes of an axial slice."""


def find_brain(image: Image) -> Image:
    """Return the brain of a T1w image as an image of zeros and ones on the same voxels.

    Raises
    ------
    ConfigError
        torch or deepbet is not installed; the message names the remedy.
    """
    extract = _deepbet().extract_brain
    oriented = sitk.DICOMOrient(image, "LPS")
    array = voxels_of(oriented).transpose(2, 1, 0)[::-1, ::-1]  # from LPS to RAS
    mask = extract(array)[::-1, ::-1].transpose(2, 1, 0).astype(np.float32)
    found = sitk.GetImageFromArray(np.ascontiguousarray(mask))
    found.CopyInformation(oriented)
    return sitk.Resample(found, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)


def _deepbet() -> ModuleType:
    try:
        from core.data.raw import brain
    except ImportError as error:
        raise ConfigError(
            f"Brain extraction needs torch and deepbet ({error}). Hand in a scan that is skull-stripped, or install them: {INSTALL}"
        ) from error
    return brain


def check_brain(image: Image, mask: Image) -> tuple[dict[str, float], str]:
    """Return the figures of a brain mask and why it is not believed; the reason is empty where it is.

    ``volume_ml``, ``in_head``, ``in_one`` and ``off_mm``: its volume, the share of it that lies within the head, the share
    that hangs together, and how far its middle lies from the head's within the axial plane.
    """
    coarse = isotropic(image, CHECK_MM)
    head = head_mask(voxels_of(coarse))
    inside = voxels_of(sitk.Resample(mask, coarse, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)) > 0.5
    own = voxels_of(mask) > 0.5
    volume_ml = float(own.sum() * np.prod(mask.GetSpacing()) / 1000)
    figures = {"volume_ml": volume_ml}
    if not VOLUME_ML[0] <= volume_ml <= VOLUME_ML[1]:
        return (
            figures,
            f"the brain has {volume_ml:.0f} ml, where {VOLUME_ML[0]:.0f} to {VOLUME_ML[1]:.0f} ml are plausible",
        )
    regions, _ = label(own)
    figures["in_one"] = float(np.bincount(regions.ravel())[1:].max() / own.sum())
    figures["in_head"] = float((inside & head).sum() / max(inside.sum(), 1))
    apart = _middle_mm(coarse, inside) - _middle_mm(coarse, head)
    figures["off_mm"] = float(np.hypot(*apart[:2]))
    if figures["in_one"] < LEAST_IN_ONE:
        return (
            figures,
            f"the brain is in pieces ({figures['in_one']:.2f} of it hangs together, at least {LEAST_IN_ONE:g})",
        )
    if figures["in_head"] < LEAST_IN_HEAD:
        return figures, f"only {figures['in_head']:.2f} of the brain lies within the head (at least {LEAST_IN_HEAD:g})"
    if figures["off_mm"] > MOST_OFF_MM:
        return (
            figures,
            f"the brain lies {figures['off_mm']:.0f} mm beside the head's middle (at most {MOST_OFF_MM:.0f})",
        )
    return figures, ""


def _middle_mm(image: Image, mask: NDArray[np.bool_]) -> NDArray[Any]:
    places = np.argwhere(mask)
    middle = places.mean(axis=0) if len(places) else np.zeros(3)
    return np.array(image.TransformContinuousIndexToPhysicalPoint(middle[::-1].tolist()))
