"""A checkpoint: weights as safetensors, with their whole story in the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from core.config import RunConfig
from core.mri import MRSequence
from core.settings import Settings

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["CheckpointCard", "find_checkpoint", "list_checkpoints", "load_model", "read_card", "save_checkpoint"]

SCHEMA_VERSION = 1


class CheckpointCard(BaseModel):
    """What a checkpoint says of itself; readable without torch."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    schema_version: int = SCHEMA_VERSION
    name: str
    config: RunConfig
    class_names: tuple[str, ...]
    positive_class: int
    sequences: tuple[MRSequence, ...]
    """The sequences it was trained on; any other is refused."""
    planes: tuple[str, ...] = ()
    synthetic: bool
    """Trained on the synthetic cohort: its answer on a real scan means nothing."""
    cohort_digest: str
    split_unit: str
    split_digest: str
    patients: dict[str, int]
    """Number of patients per part."""
    weights_origin: str
    """"torchvision ResNet18_Weights.IMAGENET1K_V1", "random", or the local file's name and SHA-256."""
    reproduction: bool
    """Whether it may be called a reproduction of the paper."""
    epoch: int
    """The epoch whose weights these are (1 is the first)."""
    threshold: float = 0.5
    """Operating point on the probability of the positive class, chosen on validation patients."""
    temperature: float = 1.0
    """Divides the logits; fitted on validation patients."""
    metrics: dict[str, Any] = {}
    """Figures with intervals as ``{"val": {"patient": {...}, "slice": {...}}}`` in the shape of ``evaluate --json``."""
    intensity: dict[str, list[float]] = {}
    """Per sequence, the training pictures' 16-bin grey histogram (shares): what the guard compares a new scan with."""
    versions: dict[str, str] = {}
    created: str = ""


def read_card(path: Path) -> CheckpointCard:
    """Read a checkpoint's card from the safetensors header alone; raises CheckpointError."""
    raise NotImplementedError


def save_checkpoint(path: Path, state: Mapping[str, torch.Tensor], card: CheckpointCard, *, half: bool = False) -> None:
    """Write weights and card atomically; `half` stores floating tensors as bfloat16."""
    raise NotImplementedError


def load_model(path: Path) -> tuple[nn.Module, CheckpointCard]:
    """Build the card's architecture and load the weights strictly; float32, eval mode, on the CPU."""
    raise NotImplementedError


def list_checkpoints(settings: Settings) -> list[Path]:
    """The shipped checkpoints, a person's own, and the best of each run; newest first, shipped ones first of all."""
    raise NotImplementedError


def find_checkpoint(name: str, settings: Settings) -> Path:
    """Turn a name, a run's name, a run folder or a file into a checkpoint's path; raises CheckpointError."""
    raise NotImplementedError
