"""Grey-value histograms of the training images, kept on a checkpoint's card for the OOD checks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.dataset.slice_table import SliceTable

BINS = 16
BLOCK = 256
"""Images held in memory at once."""


def intensity_histogram(images: NDArray[np.uint8]) -> list[float]:
    """Share of pixels in each of 16 equal bins of grey (0..15, 16..31, ...) over all images; adds up to 1."""
    return _shares(_count(images))


def fingerprint(table: SliceTable, rows: NDArray[np.int64]) -> dict[str, list[float]]:
    """Grey histogram per sequence over some rows of a table: ``CheckpointCard.intensity``.

    Parameters
    ----------
    table
        The prepared cohort.
    rows
        Row numbers, those of the training part.

    Returns
    -------
    dict
        Sequence name -> 16 shares, for the sequences that occur.
    """
    sequences = table.rows["sequence"].to_numpy()[rows]
    shares = {}
    for sequence in sorted(set(sequences)):
        members = rows[sequences == sequence]
        blocks = np.array_split(members, -(-len(members) // BLOCK))
        shares[str(sequence)] = _shares(np.sum([_count(table.images(block)) for block in blocks], axis=0))
    return shares


def _count(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bincount(images.ravel() // (256 // BINS), minlength=BINS)


def _shares(counts: NDArray[np.int64]) -> list[float]:
    return [float(share) for share in counts / max(int(counts.sum()), 1)]
