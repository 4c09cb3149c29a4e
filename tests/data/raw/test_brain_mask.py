"""What cannot be a brain is refused; deepbet, where it is missing, is named with the remedy."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from core.data.raw import brain_mask
from core.data.raw.images import to_image, voxels_of
from core.errors import ConfigError
from core.mri import MRSequence
from tests.data.raw.heads import head, scan


def truth() -> NDArray[np.bool_]:
    """Where the brain is in a series."""
    volume = scan(MRSequence.T1W)
    return head().sample(head().brain.astype(np.float32), volume.affine, volume.voxels.shape) > 0.5


def as_image(mask: NDArray[np.bool_]) -> Any:
    image = sitk.GetImageFromArray(mask.astype(np.float32))
    image.CopyInformation(to_image(scan(MRSequence.T1W)))
    return image


def test_the_true_brain_is_believed() -> None:
    figures, reason = brain_mask.check_brain(to_image(scan(MRSequence.T1W)), as_image(truth()))
    assert reason == ""
    assert figures["volume_ml"] == pytest.approx(truth().sum() * 12 / 1000)
    assert figures["in_head"] > 0.99


def test_what_is_no_brain_is_refused() -> None:
    scanned, brain = scan(MRSequence.T1W), truth()
    pieces = brain.copy()
    pieces[:, brain.shape[1] // 2 - 3 : brain.shape[1] // 2 + 3] = False
    planted = {
        "0 ml": np.zeros_like(brain),
        "plausible": scanned.array > -1,
        "in pieces": pieces,
        "lies within the head": np.roll(brain, 20, axis=1),
    }
    for said, mask in planted.items():
        assert said in brain_mask.check_brain(to_image(scanned), as_image(mask))[1]


def test_deepbet_that_is_not_installed_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    brain_mask._deepbet()._load.cache_clear()
    with pytest.raises(
        ConfigError, match=r"deepbet, which is not installed: pip install --no-deps -r requirements-raw.txt"
    ):
        brain_mask.find_brain(to_image(scan(MRSequence.T1W)))


def test_without_torch_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "core.data.raw.brain", raising=False)
    monkeypatch.delattr("core.data.raw.brain", raising=False)
    with pytest.raises(ConfigError, match=r"needs torch and deepbet .* skull-stripped"):
        brain_mask.find_brain(to_image(scan(MRSequence.T1W)))


def test_deepbet_finds_the_brain_of_a_synthetic_head_in_any_orientation() -> None:
    pytest.importorskip("torch")
    try:
        importlib.metadata.distribution("deepbet")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("deepbet is not installed: pip install --no-deps -r requirements-raw.txt")
    turned = sitk.DICOMOrient(to_image(scan(MRSequence.T1W)), "PIR")
    found = voxels_of(sitk.DICOMOrient(brain_mask.find_brain(turned), "LPS")) > 0.5
    overlap = 2 * (found & truth()).sum() / (found.sum() + truth().sum())
    assert overlap > 0.9
