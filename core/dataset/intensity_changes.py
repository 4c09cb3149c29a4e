"""Intensity augmentation: what differs between scanners and protocols and carries no information on the patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import AugmentationConfig

WHITE = 255.0


def change_intensity(
    images: torch.Tensor,
    config: AugmentationConfig,
    draws: NDArray[np.float64],
    generators: Sequence[np.random.Generator],
) -> torch.Tensor:
    """Change brightness, gamma, bias field and noise, in this order, each as far as the configuration allows.

    What is exactly 0 stays 0: the outside of the head is no tissue, and a sequence that is absent stays absent.

    Parameters
    ----------
    images
        float32 (n, ..., rows, columns) in 0..255, with a depth axis where there are five; not changed.
    config
        How far each change may go; all off returns `images`.
    draws
        (n, 14) in -1..1: brightness shift, its scale, gamma, noise, and the field's coefficients.
    generators
        One per example, for its noise.

    Returns
    -------
    torch.Tensor
        float32 of the same shape, in 0..255.
    """
    amount = torch.from_numpy(draws.astype(np.float32)).to(images.device)
    ones = (1,) * (images.ndim - 1)
    changed = images
    if config.brightness_scale or config.brightness_shift:
        gain = 1 + config.brightness_scale * amount[:, 1].view(-1, *ones)
        changed = changed * gain + WHITE * config.brightness_shift * amount[:, 0].view(-1, *ones)
    if config.gamma_spread:
        power = (1 + config.gamma_spread) ** amount[:, 2].view(-1, *ones)
        changed = WHITE * (changed / WHITE).clamp(0, 1) ** power
    if config.bias_field:
        changed = changed * _bias_field(changed, config.bias_field * amount[:, 4:])
    if config.noise_std:
        spread = WHITE * config.noise_std * amount[:, 3].abs().view(-1, *ones)
        changed = changed + spread * _noise(changed, generators)
    if changed is images:
        return images
    # A voxel of the head that is darkened to nothing is still head: only what was 0 before is 0 after.
    return torch.where(images > 0, changed.clamp(0, WHITE), torch.zeros_like(images))


def _bias_field(images: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    """A positive factor, exp of a quadratic in the coordinates -1..1; the same for all channels of an example."""
    deep = images.ndim == 5
    sides = images.shape[-3:] if deep else (1, *images.shape[-2:])
    axes = [torch.linspace(-1, 1, side, device=images.device) if side > 1 else images.new_zeros(1) for side in sides]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    terms = (x, y, x * y, x * x, y * y, z, z * x, z * y, z * z)
    # Term by term, for a matrix product rounds otherwise in another batch.
    exponent = sum(
        (coefficients[:, place, None, None, None] * term for place, term in enumerate(terms)), images.new_zeros(())
    )
    field = exponent.exp()
    if deep:
        return field.unsqueeze(1)
    return field.view(len(images), *(1,) * (images.ndim - 3), *sides[1:])


def _noise(images: torch.Tensor, generators: Sequence[np.random.Generator]) -> torch.Tensor:
    """Standard normal numbers, each example's from its own generator."""
    shape = tuple(images.shape[1:])
    drawn = np.stack([generator.standard_normal(shape, dtype=np.float32) for generator in generators])
    return torch.from_numpy(drawn).to(images.device)
