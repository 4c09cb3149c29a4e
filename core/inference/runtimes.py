"""Which engine runs a checkpoint: PyTorch, or onnxruntime where an exported graph lies beside it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from core.errors import CheckpointError
from core.inference.engine import Engine
from core.inference.recorded import RecordedEngine, read_record
from core.models.card import CheckpointCard, graph_path

Runtime = Literal["auto", "onnx", "torch", "bf16"]
"""What runs a network; "bf16" is PyTorch in bfloat16."""

GPU = Path("/dev/nvidia0")
"""There where the machine has an NVIDIA GPU, which PyTorch uses and our onnxruntime does not."""

NO_ONNX = "--runtime onnx needs onnxruntime and onnx, which are not installed: make app or make demo installs them."

NO_TORCH = (
    "This needs PyTorch, which this environment does not have: make app installs the whole lab. Without it only checkpoints "
    "with an exported graph beside them can be asked."
)


def open_engine(path: Path, card: CheckpointCard, runtime: Runtime = "auto", threads: int | None = None) -> Engine:
    """Load what runs a checkpoint's network; where the sample's answer is recorded beside it, not before another is asked for.

    Parameters
    ----------
    path, card
        The checkpoint.
    runtime
        "auto" takes onnxruntime where an exported graph lies beside the checkpoint and was measured to be the faster, on a
        machine without an NVIDIA GPU or without PyTorch; else PyTorch.
    threads
        Processor cores that it may use.

    Raises
    ------
    CheckpointError
        A file is missing, damaged or refused, or what is needed is not installed.
    ConfigError
        bfloat16 is asked for, which the machine does not compute in, or cannot be trusted with for this network.
    """
    record = read_record(path) if runtime == "auto" else None
    if record is not None:
        return RecordedEngine(record, lambda: _open_network(path, card, runtime, threads))
    return _open_network(path, card, runtime, threads)


def _open_network(path: Path, card: CheckpointCard, runtime: Runtime, threads: int | None) -> Engine:
    has_torch = find_spec("torch") is not None
    offered = graph_path(path).exists() and find_spec("onnxruntime") is not None
    if runtime == "onnx" or (runtime == "auto" and offered and not (has_torch and GPU.exists())):
        if find_spec("onnxruntime") is None:
            raise CheckpointError(NO_ONNX)
        from core.inference.onnx_engine import OnnxEngine

        engine = OnnxEngine(path, card, threads)
        if runtime == "onnx" or not has_torch or engine.info.times_faster >= 1:
            return engine
    if not has_torch:
        raise CheckpointError(NO_TORCH)
    from core.inference.torch_engine import TorchEngine

    return TorchEngine.load(path, threads, "bfloat16" if runtime == "bf16" else "float32")
