"""Which engine runs a checkpoint: PyTorch, or onnxruntime where an exported graph lies beside it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from core.errors import CheckpointError
from core.inference.engine import Engine
from core.models.card import CheckpointCard

NO_TORCH = (
    "This needs PyTorch, which this environment does not have: make app installs the whole lab. Without it only checkpoints "
    "with an exported graph beside them can be asked."
)


def open_engine(path: Path, card: CheckpointCard, threads: int | None = None) -> Engine:
    """Load what runs a checkpoint's network.

    Raises
    ------
    CheckpointError
        The file is damaged, or what is needed is not installed.
    """
    if find_spec("torch") is None:
        raise CheckpointError(NO_TORCH)
    from core.inference.torch_engine import TorchEngine

    return TorchEngine.load(path, threads)
