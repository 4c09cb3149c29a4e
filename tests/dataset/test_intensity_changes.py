"""Changes of grey values: within their limits, the same for a whole example, and nothing out of nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.config import AugmentationConfig
from core.dataset.augment import augment, find_mirrors
from core.dataset.mixup import mix_examples
from tests.dataset.test_augment import random_images

CHANGES = {
    "brightness_shift": 0.1, "brightness_scale": 0.2, "gamma_spread": 0.3, "bias_field": 0.2, "noise_std": 0.05,
}  # fmt: skip


def config(**changes: float) -> AugmentationConfig:
    return AugmentationConfig(flip_probability=0, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("shape", [(6, 16, 16), (6, 3, 16, 16), (6, 1, 5, 16, 16)])
def test_each_switch_changes_grey_values_and_keeps_the_background(name: str, shape: tuple[int, ...]) -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(1, 256, shape, np.uint8))
    images[..., :4] = 0
    changed = augment(images, config(**{name: CHANGES[name]}), 0, 1, np.arange(6))
    assert changed.shape == images.shape
    assert (changed[..., :4] == 0).all()
    assert not torch.allclose(changed, images.float())
    assert changed.min() >= 0
    assert changed.max() <= 255


@pytest.mark.parametrize("name", CHANGES)
def test_an_example_changes_alike_in_any_batch(name: str) -> None:
    images = random_images(5)
    changes = config(**{name: CHANGES[name]}, rotation_degrees=5)
    together = augment(images, changes, 3, 2, np.arange(5))
    torch.testing.assert_close(augment(images[3:4], changes, 3, 2, np.array([3])), together[3:4], rtol=0, atol=0)
    assert not torch.equal(augment(images, changes, 3, 3, np.arange(5)), together)


def test_limits_are_kept() -> None:
    images = torch.full((300, 4, 4), 100, dtype=torch.uint8)
    rows = np.arange(300)
    shifted = augment(images, config(brightness_shift=0.1), 0, 1, rows)[:, 0, 0]
    assert 74.5 <= shifted.min() < 78
    assert 122 < shifted.max() <= 125.5
    powers = (augment(images, config(gamma_spread=0.5), 0, 1, rows)[:, 0, 0] / 255).log() / np.log(100 / 255)
    assert 1 / 1.5 - 1e-3 <= powers.min() < 0.7
    assert 1.45 < powers.max() <= 1.5 + 1e-3


def test_a_bias_field_is_smooth_and_the_same_in_all_sequences() -> None:
    images = torch.full((4, 3, 32, 32), 100, dtype=torch.uint8)
    changed = augment(images, config(bias_field=0.3), 0, 1, np.arange(4))
    assert torch.equal(changed[:, 0], changed[:, 2])
    assert changed.diff(dim=-1).abs().max() < 12
    assert changed.std(dim=(2, 3)).min() > 1


def test_a_volume_turns_as_one() -> None:
    flat = random_images(3)
    volume = flat[:, None, None].expand(-1, 1, 4, -1, -1)
    changes = AugmentationConfig(rotation_degrees=15, shift_fraction=0.1)
    turned = augment(volume, changes, 0, 1, np.arange(3))
    for layer in range(4):
        torch.testing.assert_close(turned[:, 0, layer], augment(flat, changes, 0, 1, np.arange(3)))


def test_a_sagittal_image_is_not_flipped_unless_asked() -> None:
    import pandas as pd

    rows = pd.DataFrame({"plane": ["axial", "sagittal", "coronal", "unknown"]})
    assert find_mirrors(rows).tolist() == [True, False, True, True]
    images = random_images(4)
    for planes, expected in (("all", [True] * 4), ("left_right", [True, False, True, True])):
        changes = AugmentationConfig(flip_probability=1, flip_planes=planes)  # type: ignore[arg-type]
        changed = augment(images, changes, 0, 1, np.arange(4), find_mirrors(rows))
        assert [torch.equal(one, two.float().flip(-1)) for one, two in zip(changed, images, strict=True)] == expected


def test_mixup_blends_images_and_labels_by_the_same_share() -> None:
    images = torch.tensor([0.0, 100.0, 200.0])[:, None, None].expand(-1, 2, 2)
    labels = torch.tensor([0, 1, 1])
    mixed, truth = mix_examples(images, labels, 2, 0.4, 0, 1, np.array([7, 8, 9]))
    torch.testing.assert_close(truth.sum(dim=1), torch.ones(3))
    assert truth[0, 0] >= 0.5
    torch.testing.assert_close(mixed[0, 0, 0], 100 * truth[0, 1])
    assert truth[1].tolist() == [0.0, 1.0]  # its neighbour is of the same class
    again, _ = mix_examples(images, labels, 2, 0.4, 0, 1, np.array([7, 8, 9]))
    assert torch.equal(mixed, again)
    assert not torch.equal(mix_examples(images, labels, 2, 0.4, 0, 2, np.array([7, 8, 9]))[0], mixed)
