"""Images from the cache, or held where the network computes: the same images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.config import AugmentationConfig
from core.dataset import feed
from core.dataset.augment import augment
from core.dataset.feed import HELD_SHARE, open_feed
from tests.data.tables import alternating, make_table

TABLE = make_table(alternating(20))
ROWS = np.arange(5, 50)
SIZE = len(ROWS) * TABLE.images(ROWS[:1]).nbytes


def with_free_memory(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(feed, "_free_bytes", lambda device: count)


def test_a_cpu_holds_nothing_twice() -> None:
    assert open_feed(TABLE, ROWS, "cpu").held is None


def test_what_is_held_is_what_the_cache_has(monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = open_feed(TABLE, ROWS, "cpu")
    with_free_memory(monkeypatch, 10**12)
    held = open_feed(TABLE, ROWS[::-1], "cpu")
    assert held.held is not None
    assert held.held.nbytes == SIZE
    for indices in (ROWS, np.array([49, 5, 17, 17]), np.array([], np.int64)):
        expected, found = mapped.take(indices), held.take(indices)
        assert found.dtype == torch.uint8
        assert torch.equal(found, expected)
        np.testing.assert_array_equal(found.numpy(), TABLE.images(indices))


def test_a_image_is_changed_alike_wherever_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    config = AugmentationConfig(
        rotation_degrees=20, shift_fraction=0.1, gamma_spread=0.3, bias_field=0.3, noise_std=0.1
    )
    indices = np.array([30, 6, 41])
    mapped = augment(open_feed(TABLE, ROWS, "cpu").take(indices), config, 1, 2, indices)
    with_free_memory(monkeypatch, 10**12)
    held = augment(open_feed(TABLE, ROWS, "cpu").take(indices), config, 1, 2, indices)
    assert torch.equal(mapped, held)


def test_what_does_not_fit_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free_memory(monkeypatch, int(SIZE / HELD_SHARE))
    assert open_feed(TABLE, ROWS, "cpu").held is not None
    with_free_memory(monkeypatch, int(SIZE / HELD_SHARE) - 4)
    assert open_feed(TABLE, ROWS, "cpu").held is None


def test_rows_that_stand_in_both_parts_are_held_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free_memory(monkeypatch, 10**12)
    held = open_feed(TABLE, np.concatenate([ROWS, ROWS[:7]]), "cpu").held
    assert held is not None
    assert len(held) == len(ROWS)
