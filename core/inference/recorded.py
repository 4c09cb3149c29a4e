"""What a network said of certain examples, kept beside its checkpoint: the sample's answer and maps, without the network."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.files import digest_file, replace_atomically
from core.inference.engine import Captured, Coarse, Engine

if TYPE_CHECKING:
    from torch import nn

SUFFIX = ".sample.npz"
"""In place of ``.safetensors``."""


class RecordedEngine(Engine):
    """Answers the examples that it has a record of, and opens the network for any others."""

    def __init__(self, record: dict[str, NDArray[Any]], open_network: Callable[[], Engine]) -> None:
        """Take a record of :func:`read_record`; `open_network` is called once, when it is needed."""
        self._record, self._open = record, open_network
        self._places = {name: number for number, name in enumerate(record["examples"].tolist())}

    @cached_property
    def _network(self) -> Engine:
        return self._open()

    @property
    def runtime(self) -> str:  # type: ignore[override]
        """That of the network, once it was needed; before, what made the record."""
        return self._network.runtime if "_network" in vars(self) else str(self._record["runtime"])

    @property
    def model(self) -> nn.Module:
        """See :meth:`Engine.model`."""
        return self._network.model

    def score(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :meth:`Engine.score`."""
        rows = self._find(pixels)
        return self._network.score(pixels) if rows is None else self._record["logits"][rows]

    def capture(self, pixels: NDArray[np.uint8], layers: Sequence[str], target: int) -> dict[str, Captured]:
        """See :meth:`Engine.capture`."""
        return self._network.capture(pixels, layers, target)

    def recall(self, pixels: NDArray[np.uint8], wanted: Sequence[tuple[str, str]], target: int) -> Coarse | None:
        """See :meth:`Engine.recall`."""
        rows = self._find(pixels) if target == self._record["target"] else None
        if rows is None or any("|".join(one) not in self._record for one in wanted):
            return None
        return {one: [self._record["|".join(one)][rows].astype(np.float32)] for one in wanted}

    def uncrop(self, pixels: NDArray[np.uint8], maps: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """See :meth:`Engine.uncrop`."""
        return self._network.uncrop(pixels, maps)

    def _find(self, pixels: NDArray[np.uint8]) -> list[int] | None:
        """Return the rows of the record; None unless it has all examples."""
        rows = [self._places.get(_digest(example), -1) for example in pixels]
        return None if -1 in rows else rows


def read_record(checkpoint: Path) -> dict[str, NDArray[Any]] | None:
    """Return the record beside a checkpoint; None where there is none, or it is damaged or of other weights."""
    path = checkpoint.with_suffix(SUFFIX)
    try:
        with np.load(path, allow_pickle=False) as stored:
            record = dict(stored)
        lengths = {len(record[name]) for name in record if name not in ("checkpoint", "runtime", "target")}
        return record if len(lengths) == 1 and record["checkpoint"] == digest_file(checkpoint) else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def write_record(
    checkpoint: Path, runtime: str, examples: NDArray[np.uint8], logits: NDArray[np.float32], target: int, maps: Coarse
) -> Path:
    """Keep what a checkpoint says of examples (n, ...) of slices, and their coarse maps for a class; return the file."""
    path = checkpoint.with_suffix(SUFFIX)
    with replace_atomically(path) as beside, beside.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            checkpoint=np.array(digest_file(checkpoint)),
            runtime=np.array(runtime),
            target=np.array(target),
            examples=np.array([_digest(example) for example in examples]),
            logits=logits,
            **{"|".join(key): stream.astype(np.float16) for key, (stream,) in maps.items()},
        )
    return path


def _digest(example: NDArray[np.uint8]) -> str:
    return hashlib.blake2b(example.tobytes(), digest_size=16).hexdigest()
