"""N4 bias correction (Tustison 2010), and whether to believe it."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from core.data.raw.images import Image, isotropic, voxels_of
from core.data.raw.similarity import head_mask

FIELD_MM = 4.0
"""Voxel size on which the field is fitted: it is smooth, so that finer ones cost time alone."""
ITERATIONS = (40, 30, 20)
FIELD_RANGE = (0.1, 10.0)
"""Bounds of the field, relative to its middle, within a head: beyond these it has diverged."""
LEAST_CORRELATION = 0.6
"""Between a series and what becomes of it, within the head."""


def correct_bias(image: Image) -> tuple[NDArray[np.float32], dict[str, float], str]:
    """Return an image divided by its bias field, the figures of the check, and why it failed.

    The field is fitted on voxels of 4 mm within the head and applied to all voxels; its mean within the head is 1.

    Returns
    -------
    array, figures, reason
        (slices, rows, columns); ``field_low``, ``field_high``, ``correlation``; the reason is empty where it is good.
    """
    coarse = isotropic(image, FIELD_MM)
    head = head_mask(voxels_of(coarse))
    if not head.any():
        return voxels_of(image), {}, "no head was found in it"
    mask = sitk.GetImageFromArray(head.astype(np.uint8))
    mask.CopyInformation(coarse)
    lowest = float(voxels_of(coarse).min())
    lifted = sitk.Cast(coarse - lowest + 1e-3 * (float(voxels_of(coarse).max()) - lowest), sitk.sitkFloat32)
    method = sitk.N4BiasFieldCorrectionImageFilter()
    method.SetMaximumNumberOfIterations(ITERATIONS)
    method.Execute(lifted, mask)
    logarithm = voxels_of(sitk.Cast(method.GetLogBiasFieldAsImage(image), sitk.sitkFloat32))
    within = voxels_of(sitk.Cast(method.GetLogBiasFieldAsImage(coarse), sitk.sitkFloat32))[head]
    field = np.exp(np.clip(logarithm - within.mean(), -10, 10))
    corrected = (voxels_of(image) / field).astype(np.float32)
    figures, reason = check_bias(voxels_of(image), corrected)
    return corrected, figures, reason


def check_bias(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[dict[str, float], str]:
    """Return the figures of a correction and why it failed; the reason is empty where it did not.

    It failed where voxels are not finite or changed their sign, where the field leaves :data:`FIELD_RANGE`, or where
    the image after resembles the one before no more. Both arrays are (slices, rows, columns), and are compared where the one
    before is bright.
    """
    if not np.isfinite(after).all():
        return {}, "its result holds voxels that are not numbers"
    bright = before > np.percentile(before, 99.5) * 0.15
    first, second = before[bright].astype(np.float64), after[bright].astype(np.float64)
    if first.size < 100 or second.min() <= 0:
        return {}, "its result holds voxels that are not positive where the scan is bright"
    field = first / second
    low, high = np.percentile(field / np.median(field), (0.5, 99.5)).tolist()
    spread = min(first.std(), second.std())
    correlation = float(np.corrcoef(first, second)[0, 1]) if spread > 0 else 0.0
    figures = {"field_low": low, "field_high": high, "correlation": correlation}
    if low < FIELD_RANGE[0] or high > FIELD_RANGE[1]:
        return (
            figures,
            f"its field runs from {low:.2g} to {high:.2g}, where {FIELD_RANGE[0]:g} to {FIELD_RANGE[1]:g} is plausible",
        )
    if correlation < LEAST_CORRELATION:
        return (
            figures,
            f"its result resembles the scan no more (correlation {correlation:.2f}, at least {LEAST_CORRELATION:g})",
        )
    return figures, ""
