"""ROAD: does it change the answer to take away what a map marks, without leaving a hole that betrays itself?

Remove and debias (Rong et al. 2022, arXiv 2202.00449): the pixels that a map marks most are replaced by what their
neighbours suggest, a linear interpolation with a little noise, so that the network cannot read the removed shape. A map
that is true makes the answer fall when its strongest pixels go, and leaves it alone when its weakest go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

SHARES = (0.05, 0.1, 0.2)
"""Shares of the head's pixels that are taken away, one after the other."""
NOISE = 0.01
"""Standard deviation of the noise on what is filled in, as a share of the grey range."""
NEIGHBOURS = (
    (0, 1, 1 / 6), (0, -1, 1 / 6), (1, 0, 1 / 6), (-1, 0, 1 / 6),
    (1, 1, 1 / 12), (1, -1, 1 / 12), (-1, 1, 1 / 12), (-1, -1, 1 / 12),
)  # fmt: skip
"""Row and column step to each neighbour, and its weight."""


def measure_road(
    images: NDArray[np.uint8],
    maps: NDArray[np.float32],
    score: Callable[[NDArray[np.uint8]], NDArray[np.float64]],
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Score maps by what it does to take the pixels away that they mark most, and those that they mark least.

    Parameters
    ----------
    images
        uint8 (n, size, size), black outside the head; not changed.
    maps
        (n, size, size), of any scale.
    score
        Log-odds (n,) that the network gives the explained class in images (n, size, size).
    shares
        Shares of the head's pixels that are taken away; the effects are averaged.
    seed
        Of the noise, and of the order among pixels that a map marks alike.

    Returns
    -------
    ndarray
        (n,): half of (log-odds without the least marked pixels, less log-odds without the most marked ones). Above 0 the
        map tells better than chance what the answer rests on; about 0 it does not.
    """
    fallen = np.zeros(len(images))
    for share in shares:
        without = [
            np.stack(
                [
                    _take_away(image, heat * sign, share, np.random.default_rng([seed, number]))
                    for number, (image, heat) in enumerate(zip(images, maps, strict=True))
                ]
            )
            for sign in (1, -1)
        ]
        most, least = score(without[0]), score(without[1])
        fallen += (least - most) / 2
    return fallen / len(shares)


def impute(image: NDArray[np.float64], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill hidden pixels so that each is the weighted mean of its eight neighbours, hidden ones included.

    Parameters
    ----------
    image
        (rows, columns); what it holds at hidden pixels is not looked at.
    hidden
        (rows, columns).

    Returns
    -------
    ndarray
        (rows, columns), equal to `image` where nothing is hidden.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    if not hidden.any():
        return image.copy()
    number = np.full(hidden.shape, -1)
    number[hidden] = np.arange(hidden.sum())
    places = np.argwhere(hidden)
    known, weights = np.zeros(len(places)), np.zeros(len(places))
    entries: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]] = []
    for row_step, column_step, weight in NEIGHBOURS:
        beside = places + np.array([row_step, column_step])
        inside = ((beside >= 0) & (beside < hidden.shape)).all(axis=1)
        at = np.flatnonzero(inside)
        other = tuple(beside[inside].T)
        weights[at] += weight
        unknown = hidden[other]
        entries.append((at[unknown], number[other][unknown], np.full(int(unknown.sum()), -weight)))
        known[at[~unknown]] += weight * image[other][~unknown]
    here = np.arange(len(places))
    rows, columns, values = (np.concatenate(part) for part in zip(*entries, (here, here, weights), strict=True))
    system = coo_matrix((values, (rows, columns)), shape=(len(places), len(places))).tocsc()
    filled = image.copy()
    filled[hidden] = spsolve(system, known)
    return filled


def _take_away(
    image: NDArray[np.uint8], heat: NDArray[np.float32], share: float, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Replace the `share` of the head's pixels at which `heat` is highest."""
    head = np.flatnonzero(image > 0)
    count = int(share * len(head))
    if count == 0:
        return image
    mixed = generator.permutation(head)  # of pixels that are marked alike, any may go
    taken = mixed[np.argsort(-heat.ravel()[mixed], kind="stable")[:count]]
    hidden = np.zeros(image.shape, bool)
    hidden.flat[taken] = True
    filled = impute(image.astype(np.float64), hidden)
    filled[hidden] += 255 * NOISE * generator.standard_normal(count)
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)
