"""Occlusion: how far the log-odds fall when a window is covered. Slow; needs no gradient and no layer.

Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks". A window slides over the image; inside it
the head takes the head's mean grey, and what is outside the head stays black, so that the outline does not change. The
fall of the class's log-odds is averaged over the windows that cover a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from core.evaluation.aggregate import log_odds
from core.inference.predict import Predictor
from core.models.registry import limit_batch

WINDOWS = 5
"""Windows side by side along an image's side; between two of them lies a third, half over each."""
DEPTHS = 3
"""Windows that lie behind one another in a volume."""


def occlude(predictor: Predictor, pixels: NDArray[np.uint8], target: int) -> NDArray[np.float32]:
    """Return maps of examples, made by covering one window after the other.

    Parameters
    ----------
    predictor
        Whose network is run; the caller holds its lock.
    pixels
        uint8 (n, ...): prepared examples; not changed.
    target
        The class that the map speaks for.

    Returns
    -------
    ndarray
        float32 (n, size, size), of volumes (n, depth, size, size), of streams (n, streams, size, size): by how much the
        log-odds of the class fall on average when the pixel is covered, 0 where they rise.
    """
    return np.stack([_occlude_one(predictor, example, target) for example in pixels])


def list_windows(shape: tuple[int, ...], counts: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Windows of a half's overlap that cover a block of any number of axes; `counts` of them lie side by side on each."""
    axes = []
    for side, count in zip(shape, counts, strict=True):
        width = max(side // count, 1)
        starts = sorted({*range(0, max(side - width, 0) + 1, max(width // 2, 1)), max(side - width, 0)})
        axes.append([slice(start, start + width) for start in starts])
    yield from product(*axes)


def _occlude_one(predictor: Predictor, example: NDArray[np.uint8], target: int) -> NDArray[np.float32]:
    form = predictor.architecture.input_form
    counts = (DEPTHS, WINDOWS, WINDOWS) if form == "volume" else (WINDOWS, WINDOWS)
    places = example.shape[-len(counts) :]
    fall, covered = np.zeros(example.shape, np.float64), np.zeros(example.shape, np.float64)
    head = example > 0
    middle = round(float(example[head].mean())) if head.any() else 0
    # The streams are covered one by one, other channels all at once: these share one map.
    leads: list[tuple[int | slice, ...]] = [(slice(None),)] if example.ndim > len(places) else [()]
    if form == "streams":
        leads = [(number,) for number in range(len(example))]
    windows = [(*lead, *window) for lead in leads for window in list_windows(places, counts)]
    windows = [window for window in windows if head[window].any()]
    own = _score(predictor, example[None], target)[0]
    batch_size = limit_batch(64, example.shape)
    for start in range(0, len(windows), batch_size):
        some = windows[start : start + batch_size]
        block = np.repeat(example[None], len(some), axis=0)
        for one, window in zip(block, some, strict=True):
            one[window] = np.where(head[window], middle, one[window])
        for window, left in zip(some, _score(predictor, block, target), strict=True):
            fall[window] += own - left
            covered[window] += 1
    mean = np.maximum(fall / np.maximum(covered, 1), 0).astype(np.float32)
    return mean if form == "streams" or mean.ndim == len(places) else mean.max(axis=0)


def _score(predictor: Predictor, block: NDArray[np.uint8], target: int) -> NDArray[np.float64]:
    """Log-odds (n,) of a class against all others."""
    return log_odds(predictor.engine.score(block), target)
