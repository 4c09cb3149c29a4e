"""Video networks over MR volumes, the slice axis in the place of time (after Chatterjee et al. 2022)."""

from __future__ import annotations

from torch import nn
from torchvision.models import get_model


def build_video(class_count: int, name: str, channels: int) -> nn.Module:
    """Build one of torchvision's video ResNets with a new last layer.

    Chatterjee et al. (Sci Rep 2022, s41598-022-05572-6) replace the stem by a fresh one of one channel and so lose its
    pretraining. Here three MR sequences stand in the three colour channels, or the stem's colour weights are summed
    (:mod:`core.models.weights`): either way it is kept.

    Parameters
    ----------
    class_count
        Number of outputs.
    name
        torchvision's name: ``r3d_18``, ``mc3_18`` or ``r2plus1d_18``.
    channels
        3 (sequences, or a grey volume thrice), or 1.

    Returns
    -------
    nn.Module
        Random weights; (batch, channels, depth, size, size) -> logits (batch, class_count). Depth and size are free:
        the features are averaged over what is left of them.
    """
    model: nn.Module = get_model(name, weights=None)
    if channels != 3:
        stem = model.get_submodule("stem.0")
        assert isinstance(stem, nn.Conv3d)
        model.get_submodule("stem").register_module("0", _with_channels(stem, channels))
    head = model.get_submodule("fc")
    assert isinstance(head, nn.Linear)
    model.fc = nn.Linear(head.in_features, class_count)
    return model


def _with_channels(stem: nn.Conv3d, channels: int) -> nn.Conv3d:
    size, stride, padding = ((one[0], one[1], one[2]) for one in (stem.kernel_size, stem.stride, stem.padding))
    assert not isinstance(padding[0], str)
    fresh = nn.Conv3d(channels, stem.out_channels, size, stride=stride, padding=padding, bias=False)  # type: ignore[arg-type]
    nn.init.kaiming_normal_(fresh.weight, mode="fan_out", nonlinearity="relu")
    return fresh
