"""The feed: examples as tensors on the device, from the memory-mapped cache or held in device memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.dataset.slice_table import SliceTable

HELD_SHARE = 0.25
"""Of a GPU's free memory, how much the images may take; the rest is for the network and its intermediate results."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feed:
    """Examples of a slice table by their row numbers, as uint8 tensors on one device."""

    table: SliceTable
    device: str
    rows: NDArray[np.int64]
    """Sorted row numbers of the examples that can be gathered."""
    held: torch.Tensor | None
    """uint8 (rows, ...) on the device; None where each batch comes from the memory-mapped cache."""

    def take(self, indices: NDArray[np.int64]) -> torch.Tensor:
        """Gather examples in the order of `indices`: uint8 (n, ...) on the device."""
        if self.held is not None:
            places = torch.from_numpy(np.searchsorted(self.rows, indices))
            return self.held.index_select(0, places.to(self.device, non_blocking=True))
        images = torch.from_numpy(self.table.images(indices))
        if not self.device.startswith("cuda"):
            return images.to(self.device)
        # From page-locked memory the copy runs beside what the GPU is doing.
        return images.pin_memory().to(self.device, non_blocking=True)


def open_feed(table: SliceTable, rows: NDArray[np.int64], device: str) -> Feed:
    """Hold the images on the device where they fit into :data:`HELD_SHARE` of its free memory.

    On a CPU the cache is mapped into memory already, so nothing is held twice.

    Parameters
    ----------
    table
        The prepared cohort.
    rows
        Row numbers that will be gathered: the training and validation parts.
    device
        Where the network computes.
    """
    rows = np.unique(rows)
    feed = Feed(table=table, device=device, rows=rows, held=None)
    size = len(rows) * int(np.prod(table.arrays[0].shape[1:]))
    if size > HELD_SHARE * _free_bytes(device):
        return feed
    held = torch.empty((len(rows), *table.arrays[0].shape[1:]), dtype=torch.uint8, device=device)
    for start in range(0, len(rows), 256):
        held[start : start + 256] = torch.from_numpy(table.images(rows[start : start + 256])).to(device)
    return Feed(table=table, device=device, rows=rows, held=held)


def _free_bytes(device: str) -> int:
    """Free memory of a GPU of its own; 0 for a device that shares the computer's."""
    return torch.cuda.mem_get_info(device)[0] if device.startswith("cuda") else 0
