"""A checkpoint's weights: safetensors with the card in the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from core.errors import CheckpointError, ConfigError
from core.files import write_atomic
from core.models.card import ENSEMBLE, RESTORE, CheckpointCard, read_card
from core.models.registry import find_architecture


def save_checkpoint(path: Path, state: Mapping[str, torch.Tensor], card: CheckpointCard, *, half: bool = False) -> None:
    """Write weights and card atomically.

    Parameters
    ----------
    path
        The .safetensors file to write or replace.
    state
        The model's ``state_dict()``; not changed.
    card
        Stored as JSON under the metadata key ``card``.
    half
        Store kernels and matrices as float16: half the size, a relative error of 0.05%. bfloat16 would err by 0.4%, enough to
        move the strongest points of maps. Vectors (biases, normalisation) stay whole.

    Raises
    ------
    StorageError
        The disk is full or the folder cannot be written; what was at `path` is left as it was.
    """
    tensors = {}
    for name, value in state.items():
        value = value.detach().cpu()
        tensors[name] = (_halve(value) if half else value).clone(memory_format=torch.contiguous_format)
    write_atomic(path, save(tensors, metadata={"card": card.model_dump_json()}))


def load_model(path: Path) -> tuple[nn.Module, CheckpointCard]:
    """Build the card's architecture and load the weights strictly; float32, eval mode, on the CPU.

    Torch's random state is left as it was.

    Raises
    ------
    CheckpointError
        The file is damaged, or its tensors are not those of the network that its card names.
    """
    if path.name == ENSEMBLE:
        raise CheckpointError(f"{path} is an ensemble of several networks; name one of its members' runs here.")
    card = read_card(path)
    try:
        architecture = find_architecture(card.config.architecture)
        state = {name: value.float() if value.is_floating_point() else value for name, value in load_file(path).items()}
        with torch.device("meta"):
            model = architecture.build(len(card.class_names))
        model.load_state_dict(state, strict=True, assign=True)
    except ConfigError as error:
        raise CheckpointError(f"{path} needs a network that this version lacks: {error}") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The weights in {path} cannot be read: {error}. {RESTORE}") from error
    except RuntimeError as error:
        detail = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise CheckpointError(
            f"The weights in {path} are not those of {card.config.architecture} with {len(card.class_names)} classes, "
            f"which its card names: {detail[:300]} {RESTORE}"
        ) from error
    return model.eval(), card


def _halve(value: torch.Tensor) -> torch.Tensor:
    """A kernel or matrix as float16, as bfloat16 where a number is too large for it; a vector unchanged."""
    if value.ndim < 2 or not value.is_floating_point():
        return value
    half = value.to(torch.float16)
    return half if bool(half.isfinite().all()) else value.to(torch.bfloat16)
