"""onnxruntime as the engine of predictions and maps: needs no PyTorch, and starts at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as refusals
from safetensors import SafetensorError, deserialize

from core.errors import CheckpointError
from core.inference.engine import Captured, Engine
from core.inference.onnx_graph import LOGITS, REMEDY, cut_graph, read_graph
from core.models.card import RESTORE, CheckpointCard, graph_path
from core.models.registry import find_architecture, list_modules

REFUSED = (refusals.Fail, refusals.InvalidArgument, refusals.InvalidGraph, refusals.NotImplemented,
           refusals.RuntimeException, RuntimeError, ValueError)  # fmt: skip

STORED = {"F16": "<f2", "F32": "<f4"}


class OnnxEngine(Engine):
    """A checkpoint's graph and weights; the graph takes one example at a time."""

    runtime = "onnx"

    def __init__(self, checkpoint: Path, card: CheckpointCard, threads: int | None = None) -> None:
        """Check and load; raises CheckpointError where the graph or the checkpoint is missing, damaged or hostile."""
        self._graph, self.info = read_graph(checkpoint, card)
        self._path = graph_path(checkpoint)
        self._architecture = find_architecture(card.config.architecture)
        found = read_weights(checkpoint)
        wanted = [one.name for one in self._graph.graph.initializer if one.external_data]
        lacking = [name for name in wanted if name not in found]
        if lacking:
            raise CheckpointError(f"{self._path} is refused: it names weights that the checkpoint lacks. {REMEDY}")
        self._weights = {name: onnxruntime.OrtValue.ortvalue_from_numpy(found[name]) for name in wanted}
        self._threads = threads or 0
        self._answers = self._open([LOGITS])
        self._maps: tuple[list[str], onnxruntime.InferenceSession] | None = None

    def score(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :meth:`Engine.score`."""
        return np.concatenate([self._answers.run([LOGITS], {"pixels": _as_input(one)})[0] for one in pixels])

    def capture(self, pixels: NDArray[np.uint8], layers: Sequence[str], target: int) -> dict[str, Captured]:
        """See :meth:`Engine.capture`."""
        places = {layer: list_modules(self._architecture, layer) for layer in layers}
        names = [f"{what} {name}" for several in places.values() for name in several for what in ("value", "gradient")]
        if self._maps is None or self._maps[0] != names:
            self._maps = names, self._open(names)
        chosen = np.zeros((1, self.info.classes), np.float32)
        chosen[0, target] = 1
        parts = [self._maps[1].run(names, {"pixels": _as_input(one), "target": chosen}) for one in pixels]
        whole = dict(zip(names, (np.concatenate(several) for several in zip(*parts, strict=True)), strict=True))
        return {
            layer: [(whole[f"value {name}"], whole[f"gradient {name}"]) for name in several]
            for layer, several in places.items()
        }

    def _open(self, outputs: list[str]) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 4  # what is wrong is raised, and said once
        part = cut_graph(self._graph, outputs)
        try:
            options.add_external_initializers(list(self._weights), list(self._weights.values()))
            return onnxruntime.InferenceSession(part, options, providers=["CPUExecutionProvider"])
        except REFUSED as error:
            first = str(error).strip().splitlines()[0][:200]
            raise CheckpointError(f"{self._path} does not fit the checkpoint's weights: {first} {REMEDY}") from error


def _as_input(example: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(example[None], np.float32)


def read_weights(checkpoint: Path) -> dict[str, NDArray[np.float32]]:
    """Return a checkpoint's floating-point tensors as float32, by name, whatever precision they are stored in.

    Raises
    ------
    CheckpointError
        The file is damaged.
    """
    weights = {}
    try:
        for name, entry in deserialize(checkpoint.read_bytes()):
            if entry["dtype"] == "BF16":  # the upper half of a float32, which NumPy has no name for
                values = (np.frombuffer(entry["data"], "<u2").astype(np.uint32) << 16).view(np.float32)
            elif entry["dtype"] in STORED:
                values = np.frombuffer(entry["data"], STORED[entry["dtype"]]).astype(np.float32)
            else:
                continue
            weights[name] = values.reshape(entry["shape"])
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"The weights in {checkpoint} cannot be read: {error}. {RESTORE}") from error
    return weights
