"""Maps from a layer's activations and gradients, in NumPy, so that they are the same whatever ran the network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


def weigh(method: str, activations: Values, gradients: Values) -> Values:
    """Return coarse maps (n, ...) of a layer, cut at zero: activations (n, channels, ...) weighed by a method's formula.

    The formulas are those of Selvaraju 2017 (gradcam), Chattopadhay 2018 (gradcam++), Fu 2020 (xgradcam), Draelos 2020
    (hirescam) and Jiang 2021 (layercam); their small constants are pytorch_grad_cam's.
    """
    places = tuple(range(2, activations.ndim))
    total = activations.sum(axis=places, keepdims=True)
    weights = gradients
    if method == "gradcam":
        weights = gradients.mean(axis=places, keepdims=True)
    elif method == "xgradcam":
        weights = (gradients * activations / (total + np.float32(1e-7))).sum(axis=places, keepdims=True)
    elif method == "gradcam++":
        square = gradients**2
        share = square / (2 * square + total * square * gradients + np.float32(1e-6))
        weights = (np.maximum(gradients, 0) * np.where(gradients != 0, share, 0)).sum(axis=places, keepdims=True)
    elif method.startswith("layercam"):
        weights = np.maximum(gradients, 0)
    return np.maximum((weights * activations).sum(axis=1), 0, dtype=np.float32)


def enlarge(maps: Values, sides: tuple[int, ...]) -> Values:
    """Enlarge the last axes of maps linearly to `sides`: PyTorch's ``interpolate`` with ``align_corners=False``."""
    for axis, side in enumerate(sides, start=maps.ndim - len(sides)):
        if maps.shape[axis] != side:
            maps = np.moveaxis(np.moveaxis(maps, axis, -1) @ _weights(maps.shape[axis], side).T, -1, axis)
    return np.ascontiguousarray(maps)


def _weights(old: int, new: int) -> Values:
    """How much each of `old` places counts at each of `new` ones: (new, old)."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(old)), 0).astype(np.float32)
