"""Run a network over prepared pictures: device, precision, normalisation, memory format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.config import RunConfig
from core.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from core.models.registry import Architecture

__all__ = ["Compute", "autocast", "choose_compute", "evaluating", "place_model", "score_pictures", "to_input"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Where and how numbers are computed; recorded in environment.json."""

    device: str
    precision: str
    """"float32" or "bfloat16" (autocast)."""
    channels_last: bool


def choose_compute(config: RunConfig) -> Compute:
    """Resolve 'auto' device and precision for this machine.

    bfloat16 is chosen where the hardware computes in it: CUDA GPUs since Ampere, CPUs with AMX or AVX512_BF16.
    Explicit float32 also keeps the plain memory format.

    Raises
    ------
    ConfigError
        The device is not there; the message names those that are.
    """
    device = _choose_device(config.device)
    precision = config.precision
    if precision == "auto":
        precision = "bfloat16" if _gains_by_bfloat16(device) else "float32"
    return Compute(
        device=device,
        precision=precision,
        channels_last=config.precision != "float32" and (precision == "bfloat16" or device.startswith("cuda")),
    )


def place_model(model: nn.Module, compute: Compute) -> nn.Module:
    """Move a network to the device and memory format, in place, and return it."""
    import torch

    if compute.channels_last:
        return model.to(compute.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.to(compute.device)


def to_input(pictures: torch.Tensor, architecture: Architecture, compute: Compute) -> torch.Tensor:
    """Turn grey pictures into a network's input.

    Parameters
    ----------
    pictures
        uint8 or float tensor (n, size, size) in 0..255; not changed.
    architecture
        Whose mean and standard deviation to normalise with.
    compute
        Device and memory format.

    Returns
    -------
    torch.Tensor
        float32 (n, 3, size, size) on the device, the grey picture in each channel.
    """
    import torch

    mean, std = (
        torch.tensor(values, device=compute.device).view(1, -1, 1, 1)
        for values in (architecture.normalisation.mean, architecture.normalisation.std)
    )
    scaled = pictures.to(compute.device).to(torch.float32).unsqueeze(1) / 255
    return ((scaled - mean) / std).to(
        memory_format=torch.channels_last if compute.channels_last else torch.contiguous_format
    )


def autocast(compute: Compute) -> torch.autocast:
    """Context in which the network computes in the chosen precision; parameters stay float32."""
    import torch

    return torch.autocast(torch.device(compute.device).type, torch.bfloat16, enabled=compute.precision == "bfloat16")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Put a network into eval mode for a while; afterwards each of its modules is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield model.eval()
    finally:
        for module, mode in modes:
            module.training = mode


def score_pictures(
    model: nn.Module, pictures: NDArray[np.uint8], architecture: Architecture, compute: Compute, batch_size: int = 64
) -> NDArray[np.float32]:
    """Score pictures in eval mode and without gradients; the model's mode is restored.

    Parameters
    ----------
    model
        A network on ``compute.device`` (:func:`place_model`).
    pictures
        (n, size, size) in 0..255.
    architecture, compute
        Normalisation, device and precision.
    batch_size
        Pictures at once; the answer does not depend on it but for rounding.

    Returns
    -------
    ndarray
        float32 logits (n, classes), whatever the precision of the computation.
    """
    import torch

    logits = []
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(pictures), batch_size):
            # A copy, for torch cannot wrap a read-only memory map.
            block = torch.from_numpy(np.array(pictures[start : start + batch_size]))
            with autocast(compute):
                scores = model(to_input(block, architecture, compute))
            logits.append(scores.float().cpu().numpy())
    if not logits:
        raise ValueError("score_pictures needs at least one picture")
    return np.concatenate(logits)


def _choose_device(asked: str) -> str:
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    if asked == "auto":
        return "cuda" if gpus else "mps" if mps else "cpu"
    number = int(asked.partition(":")[2] or 0)
    if (asked.startswith("cuda") and number >= gpus) or (asked == "mps" and not mps):
        there = ["cpu", *(["mps"] if mps else []), *(f"cuda:{index}" for index in range(gpus))]
        raise ConfigError(f"This machine has no device {asked!r}; it has: {', '.join(there)}. Use --set device=auto.")
    return asked


def _gains_by_bfloat16(device: str) -> bool:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False
