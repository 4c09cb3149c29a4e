"""Published weights for a network that is not the published one: other names, fewer channels in the stem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


Translation = tuple[dict[str, "torch.Tensor"], tuple[str, ...]]
"""A file's tensors under this network's names, and a sentence for each tensor that was changed on the way."""
Translate = Callable[[Mapping[str, "torch.Tensor"]], Translation]


def sum_stem(stem: str, state: Mapping[str, torch.Tensor]) -> Translation:
    """Sum the colour weights of a stem, so that it takes one grey channel.

    A convolution is linear: the summed stem says of a grey image what the colour stem says of the same image in
    all three channels, as long as all three are normalised alike.

    Parameters
    ----------
    stem
        Name of the stem's convolution in `state`.
    state
        A published network's tensors; not changed.
    """
    weight = state.get(f"{stem}.weight")
    if weight is None or weight.shape[1] != 3:
        return dict(state), ()
    note = f"{stem}.weight: the weights of 3 colour channels summed into 1"
    return {**state, f"{stem}.weight": weight.sum(dim=1, keepdim=True)}, (note,)


def bag_weights(state: Mapping[str, torch.Tensor]) -> Translation:
    """A ResNet's tensors for the slice encoder of :mod:`core.models.networks.attention`; its own head is left out."""
    summed, notes = sum_stem("conv1", state)
    return {f"encoder.{name}": value for name, value in summed.items() if not name.startswith("fc.")}, notes


def stream_weights(stream_count: int, state: Mapping[str, torch.Tensor]) -> Translation:
    """A ResNet-18's tensors for :mod:`core.models.networks.multistream`: a copy for each stream, layer4 for what is joint."""
    summed, notes = sum_stem("conv1", state)
    translated = {f"joint.{name}": value for name, value in summed.items() if name.startswith("layer4.")}
    for stream in range(stream_count):
        translated |= {
            f"streams.{stream}.{name}": value
            for name, value in summed.items()
            if not name.startswith(("layer4.", "fc."))
        }
    return translated, (*notes, f"conv1 to layer3: the same weights at the start of each of {stream_count} streams")
