"""What prepared images look like, in a few numbers that need no network: the guard holds a new scan against them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.prepare.examples import PreparedSeries
from core.data.select import Source

TONES = 8
"""Equal bins of grey, 0 to 31, 32 to 63, ..."""
BLACK, HEAD = 8, 32
"""Grey values below which a pixel counts as background, and from which on as part of the head."""
LAGS = (1, 2, 4, 8)
"""Distances in pixels at which neighbours are compared."""

FEATURES = (
    *(f"share of grey {256 // TONES * tone} to {256 // TONES * (tone + 1) - 1}" for tone in range(1, TONES)),
    "share of background",
    *(f"change of grey over {lag} pixels" for lag in LAGS),
    "noise inside the head",
    "likeness of left and right",
    "likeness of top and bottom",
    "brightness at the image's edge",
    "brightness of the middle",
    "height of the head",
    "width of the head",
    "size of the head",
    "gaps inside the head",
)
"""What each number is, in words."""


def measure_pictures(examples: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Measure prepared examples; of one with several images (channels, streams, layers) the mean over them.

    All is simple arithmetic on grey values v of 0..255, so that a web page can repeat it. Of an image (rows, columns), h is
    where v >= 32:

    - square roots of the shares of v in 32..63, 64..95, ..., 224..255; the share of v < 8;
    - for k of 1, 2, 4, 8: ln(1 + half the sum of the mean |v(r, c + k) - v(r, c)| and the mean |v(r + k, c) - v(r, c)|);
    - ln(1 + the mean over h of |2 v(r, c) - v(r, c - 1) - v(r, c + 1)|), the outermost pixels left out;
    - the correlation of v with its mirror image, left to right, and top to bottom (0 where v is constant);
    - the mean of v / 255 in a frame of rows // 16 pixels; that in the middle quarter (3/8 to 5/8 of each side) less that of h;
    - the shares of rows, and of columns, more than 2% of which are in h; the share of h; and its share of the area between
      the first and the last pixel of h in each row.

    Parameters
    ----------
    examples
        (n, ..., rows, columns), as :mod:`core.data.prepare.examples` gives them.

    Returns
    -------
    array
        (n, :data:`FEATURES`).
    """
    count, square = len(examples), examples.shape[-2:]
    planes = np.asarray(examples).reshape(-1, *square)
    found = np.stack([_measure(plane) for plane in planes])
    means: NDArray[np.float64] = found.reshape(count, -1, len(FEATURES)).mean(axis=1)
    return means


def measure_source(source: Source, prepared: PreparedSeries) -> list[tuple[str, NDArray[np.float64]]]:
    """Return the sequences of what was prepared, each with its examples' features (examples, features)."""
    names = np.array(prepared.sequences or [str(source[0].sequence)] * len(prepared.pixels))
    features = measure_pictures(prepared.pixels)
    return [(str(name), features[names == name]) for name in dict.fromkeys(names)]


def _measure(plane: NDArray[np.uint8]) -> NDArray[np.float64]:
    values, head = plane.astype(np.int16), plane >= HEAD
    rows, columns = plane.shape
    tones = np.bincount((plane // (256 // TONES)).ravel(), minlength=TONES) / plane.size
    inside, edge = head[1:-1, 1:-1], rows // 16
    noise = np.abs(2 * values[1:-1, 1:-1] - values[1:-1, 2:] - values[1:-1, :-2])
    frame = np.ones_like(head)
    frame[edge:-edge, edge:-edge] = False
    middle = plane[rows * 3 // 8 : rows * 5 // 8, columns * 3 // 8 : columns * 5 // 8]
    of_head, held = np.count_nonzero(head), head.any(axis=1)
    spans = columns - head.argmax(axis=1) - head[:, ::-1].argmax(axis=1)
    apart = plane - np.float32(_mean(plane))
    spread = float(np.square(apart).sum())  # an image and its mirror image have one mean and one spread
    return np.array(
        [
            *np.sqrt(tones[1:]),
            np.count_nonzero(plane < BLACK) / plane.size,
            *(np.log1p(_change(plane, lag)) for lag in LAGS),
            np.log1p(_mean(noise[inside])),
            *(
                float((apart * mirror).sum() / spread) if spread > 0 else 0.0
                for mirror in (apart[:, ::-1], apart[::-1])
            ),
            _mean(plane[frame]) / 255,
            (_mean(middle) - _mean(plane[head])) / 255,
            (np.count_nonzero(head, axis=1) / columns > 0.02).mean(),
            (np.count_nonzero(head, axis=0) / rows > 0.02).mean(),
            of_head / plane.size,
            of_head / max(int(spans[held].sum()), 1),
        ]
    )


def _change(plane: NDArray[np.uint8], lag: int) -> float:
    pairs = (plane[:, lag:], plane[:, :-lag]), (plane[lag:], plane[:-lag])
    return sum(_mean(np.maximum(one, other) - np.minimum(one, other)) for one, other in pairs) / 2


def _mean(values: NDArray[np.integer[Any]]) -> float:
    """Of whole numbers, which are added as such: several times as fast as NumPy's own mean; 0 of none."""
    return float(values.sum(dtype=np.uint32)) / values.size if values.size else 0.0
