"""Run a network over prepared images: device, precision, normalisation, memory format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.config import RunConfig
from core.errors import ConfigError
from core.models.registry import Architecture, find_architecture, limit_batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Where and how numbers are computed; recorded in environment.json."""

    device: str
    precision: str
    """"float32" or "bfloat16" (autocast)."""
    channels_last: bool


def choose_compute(config: RunConfig) -> Compute:
    """Resolve 'auto' device and precision for this machine.

    bfloat16 is chosen where the hardware computes in it: CUDA GPUs since Ampere, CPUs with AMX or AVX512_BF16. On CPUs
    not for three-dimensional convolutions: seen with torch 2.14 on AMX, a weight's gradient becomes NaN now and then in
    small volumes (the like is reported in pytorch/pytorch#169688). Explicit float32 also keeps the plain memory format.

    Raises
    ------
    ConfigError
        The device is not there; the message names those that are.
    """
    device = _choose_device(config.device)
    precision = config.precision
    if precision == "auto":
        trusted = device != "cpu" or not find_architecture(config.architecture).convolves_depth
        precision = "bfloat16" if trusted and _gains_by_bfloat16(device) else "float32"
    return Compute(
        device=device,
        precision=precision,
        channels_last=config.precision != "float32" and (precision == "bfloat16" or device.startswith("cuda")),
    )


def place_model(model: nn.Module, compute: Compute) -> nn.Module:
    """Move a network to the device and memory format, in place, and return it."""
    model = model.to(compute.device)
    for parameter in model.parameters():
        parameter.data = _formatted(parameter.data, compute)
    return model


def to_input(images: torch.Tensor, architecture: Architecture, compute: Compute) -> torch.Tensor:
    """Turn prepared examples into a network's input.

    Parameters
    ----------
    images
        uint8 or float tensor in 0..255, not changed: slices (n, size, size) or (n, channels, size, size), streams
        (n, streams, size, size), volumes (n, channels, depth, size, size).
    architecture
        Whose mean and standard deviation to normalise with.
    compute
        Device and memory format.

    Returns
    -------
    torch.Tensor
        float32 on the device, (n, C, size, size) or (n, C, depth, size, size) with the C channels of the architecture:
        a single grey one is repeated. A stream that is black everywhere, because the study lacks the sequence, is 0.
    """
    if architecture.input_form == "slice" and images.ndim == 3:
        images = images.unsqueeze(1)
    ones = (1,) * (images.ndim - 2)
    mean, std = (
        torch.tensor(values, device=compute.device).view(1, -1, *ones)
        for values in (architecture.normalisation.mean, architecture.normalisation.std)
    )
    grey = images.to(compute.device).to(torch.float32)
    inputs = (grey / 255 - mean) / std
    if architecture.input_form == "streams":
        inputs = inputs * grey.flatten(2).any(-1).view(*grey.shape[:2], 1, 1)
    return _formatted(inputs, compute)


def _formatted(values: torch.Tensor, compute: Compute) -> torch.Tensor:
    """Lay a tensor of 2-D or 3-D images, or of a convolution's weights, out as the hardware likes it best."""
    if not compute.channels_last:
        return values.contiguous()
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return values.contiguous(memory_format=formats.get(values.ndim, torch.contiguous_format))


def autocast(compute: Compute) -> torch.autocast:
    """Context in which the network computes in the chosen precision; parameters stay float32."""
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


def score_images(
    model: nn.Module,
    images: NDArray[np.uint8] | torch.Tensor,
    architecture: Architecture,
    compute: Compute,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Score images in eval mode and without gradients; the model's mode is restored.

    Parameters
    ----------
    model
        A network on ``compute.device`` (:func:`place_model`).
    images
        (n, ...) in 0..255, as :func:`to_input` takes them; an array, or a tensor on any device.
    architecture, compute
        Normalisation, device and precision.
    batch_size
        Examples at once, of 224 x 224 pixels; fewer where they are larger. The answer does not depend on it but for
        rounding.

    Returns
    -------
    ndarray
        float32 logits (n, classes), whatever the precision of the computation.
    """
    logits = []
    batch_size = limit_batch(batch_size, tuple(images.shape[1:]))
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(images), batch_size):
            block = images[start : start + batch_size]
            if not isinstance(block, torch.Tensor):
                block = torch.from_numpy(np.array(block))  # A copy, for torch cannot wrap a read-only memory map.
            with autocast(compute):
                scores = model(to_input(block, architecture, compute))
            logits.append(scores.float().cpu().numpy())
    if not logits:
        raise ValueError("score_images needs at least one image")
    return np.concatenate(logits)


def _choose_device(asked: str) -> str:
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
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False
