"""ROAD: how far the answer changes when the pixels that a map marks are removed, without a hole that betrays itself.

Remove and debias (Rong et al. 2022, arXiv 2202.00449): the pixels that a map marks most are replaced by what their
neighbours suggest, a linear interpolation with a little noise, so that the network cannot read the removed shape. Where a
map is true the answer falls when its strongest pixels go, and stays when its weakest go.

The interpolation is pytorch_grad_cam's, which is the authors'. Its ``ROADCombined`` takes shares of the whole image, of
which most is black here; ours are shares of the head, pixels that are marked alike go in random order, the noise has a
seed, and all images are scored in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.metrics.road import NoisyLinearImputer

SHARES = (0.05, 0.1, 0.2)
"""Shares of the head's pixels that are removed, one after the other."""
NOISE = 0.01
"""Standard deviation of the noise on imputed pixels, as a share of the grey range."""


def measure_road(
    images: NDArray[np.uint8],
    maps: NDArray[np.float32],
    score: Callable[[NDArray[np.uint8]], NDArray[np.float64]],
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return each map's ROAD score: (n,).

    Half of (log-odds without the least marked pixels, less log-odds without the most marked ones), averaged over the shares.
    Above 0 the map tells better than chance what the answer rests on.

    Parameters
    ----------
    images
        uint8 (n, size, size), black outside the head; not changed.
    maps
        (n, size, size), of any scale.
    score
        Log-odds (n,) that the network gives the explained class in images (n, size, size).
    shares
        Shares of the head's pixels that are removed.
    seed
        Of the noise, and of the order among pixels that a map marks alike.
    """
    effects = []
    with torch.random.fork_rng(devices=[]):  # the imputer draws noise of its own, and scales it by 0
        for share in shares:
            most, least = (
                score(
                    np.stack(
                        [
                            remove_pixels(image, sign * heat, share, np.random.default_rng([seed, number]))
                            for number, (image, heat) in enumerate(zip(images, maps, strict=True))
                        ]
                    )
                )
                for sign in (1, -1)
            )
            effects.append((least - most) / 2)
    mean: NDArray[np.float64] = np.mean(effects, axis=0)
    return mean


def remove_pixels(
    image: NDArray[np.uint8], heat: NDArray[np.float32], share: float, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Return an image (rows, columns) with the `share` of the head's pixels imputed at which `heat` is highest."""
    head = np.flatnonzero(image > 0)
    count = int(share * len(head))
    if count == 0:
        return image
    mixed = generator.permutation(head)
    removed = mixed[np.argsort(-heat.ravel()[mixed], kind="stable")[:count]]
    kept = np.ones(image.shape, np.float32)
    kept.flat[removed] = 0
    grey = torch.from_numpy(image.astype(np.float32))[None]
    filled = NoisyLinearImputer(noise=0)(grey, torch.from_numpy(kept))[0].double().numpy()
    filled[kept == 0] += 255 * NOISE * generator.standard_normal(count)
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)
