"""Augmentation: from (seed, epoch, sample) alone, exact where nothing is interpolated, within its limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import AugmentationConfig
from core.dataset.augment import augment

OFF = AugmentationConfig(flip_probability=0)
ALL = AugmentationConfig(flip_probability=0.5, rotation_degrees=20, scale_fraction=0.2, shift_fraction=0.1)


def random_images(count: int, size: int = 24) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, size, size), np.uint8))


@settings(deadline=None)
@given(members=st.lists(st.integers(0, 11), min_size=1, max_size=12, unique=True), epoch=st.integers(1, 50))
def test_a_sample_does_not_depend_on_its_batch(members: list[int], epoch: int) -> None:
    images = random_images(12)
    together = augment(images, ALL, 7, epoch, np.arange(12))
    some = augment(images[members], ALL, 7, epoch, np.array(members))
    torch.testing.assert_close(some, together[members], rtol=0, atol=0)


def test_seed_epoch_and_index_each_matter() -> None:
    image = random_images(1)
    one = augment(image, ALL, 1, 1, np.array([1]))
    for seed, epoch, index in ((2, 1, 1), (1, 2, 1), (1, 1, 2)):
        assert not torch.equal(one, augment(image, ALL, seed, epoch, np.array([index])))


def test_global_random_state_plays_no_part() -> None:
    before = torch.get_rng_state()
    augment(random_images(4), ALL, 0, 1, np.arange(4))
    assert torch.equal(before, torch.get_rng_state())


def test_off_changes_nothing_but_the_type() -> None:
    images = random_images(5)
    changed = augment(images, OFF, 0, 1, np.arange(5))
    assert changed.dtype == torch.float32
    assert torch.equal(changed, images.float())


def test_a_flip_is_exact_and_as_frequent_as_asked() -> None:
    images = random_images(400, size=6)
    changed = augment(images, AugmentationConfig(flip_probability=0.3), 0, 1, np.arange(400))
    kept = (changed == images).all(dim=(1, 2))
    flipped = (changed == images.flip(-1)).all(dim=(1, 2))
    assert (kept ^ flipped).all()
    assert 0.2 < flipped.float().mean() < 0.4


def centre_of_mass(images: torch.Tensor) -> torch.Tensor:
    steps = torch.arange(images.shape[-1], dtype=torch.float32)
    mass = images.sum(dim=(1, 2))
    return torch.stack([(images.sum(2) * steps).sum(1) / mass, (images.sum(1) * steps).sum(1) / mass], 1)


def test_a_shift_is_at_most_the_share_asked_for_and_in_all_directions() -> None:
    images = torch.zeros(200, 40, 40, dtype=torch.uint8)
    images[:, 18:22, 18:22] = 255
    config = AugmentationConfig(flip_probability=0, shift_fraction=0.1)
    moved = centre_of_mass(augment(images, config, 0, 1, np.arange(200))) - 19.5
    assert moved.abs().max() <= 4.01
    assert moved.amin() < -3
    assert moved.amax() > 3


def test_a_rotation_turns_and_keeps_the_size() -> None:
    images = torch.zeros(100, 41, 41, dtype=torch.uint8)
    images[:, 19:22, 34:37] = 255  # right of the centre
    config = AugmentationConfig(flip_probability=0, rotation_degrees=30)
    offset = centre_of_mass(augment(images, config, 0, 1, np.arange(100))) - 20
    torch.testing.assert_close(offset.norm(dim=1), torch.full((100,), 15.0), atol=0.2, rtol=0)
    angle = torch.rad2deg(torch.atan2(offset[:, 0], offset[:, 1]))
    assert angle.abs().max() <= 30.5
    assert angle.min() < -20
    assert angle.max() > 20


def test_a_scale_enlarges_and_shrinks_within_its_limits() -> None:
    images = torch.zeros(100, 60, 60, dtype=torch.uint8)
    images[:, 20:40, 20:40] = 255
    config = AugmentationConfig(flip_probability=0, scale_fraction=0.2)
    side = (augment(images, config, 0, 1, np.arange(100)).sum(dim=(1, 2)) / 255).sqrt()
    assert 15.9 <= side.min() < 17
    assert 23 < side.max() <= 24.1


def test_values_stay_in_range_and_the_input_as_it_was() -> None:
    images = random_images(8)
    before = images.clone()
    changed = augment(images, ALL, 0, 1, np.arange(8))
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert torch.equal(images, before)


@pytest.mark.parametrize("change", [{"rotation_degrees": 0}, {"scale_fraction": 0}, {"shift_fraction": 0}])
def test_switching_one_change_off_leaves_the_flips(change: dict[str, float]) -> None:
    images = torch.zeros(50, 20, 20, dtype=torch.uint8)
    images[:, :, 15:] = 255
    small = AugmentationConfig(rotation_degrees=1, scale_fraction=0.01, shift_fraction=0.01)
    sides = [
        augment(images, config, 0, 1, np.arange(50))[:, 10, 17] > 128
        for config in (small, small.model_copy(update=change))
    ]
    assert torch.equal(*sides)
    assert 10 < sides[0].sum() < 40
