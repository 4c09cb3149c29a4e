"""Batches: every image once an epoch, in an order of (seed, epoch), resumable at any step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.dataset.batches import count_steps, train_batches
from tests.data.tables import alternating, make_table

TABLE = make_table(alternating(20))


@settings(deadline=None)
@given(count=st.integers(1, 60), batch_size=st.integers(1, 70), seed=st.integers(0, 9), epoch=st.integers(1, 9))
def test_every_image_comes_once_and_none_comes_alone(count: int, batch_size: int, seed: int, epoch: int) -> None:
    rows = np.arange(0, count)
    batches = list(train_batches(TABLE, rows, batch_size, seed, epoch))
    assert len(batches) == count_steps(count, batch_size)
    assert sorted(np.concatenate([batch.indices for batch in batches])) == list(rows)
    sizes = [len(batch.indices) for batch in batches]
    assert all(size == batch_size for size in sizes[:-1])
    assert sizes[-1] <= batch_size + 1
    if batch_size > 1 and count > 1:
        assert min(sizes) > 1


def test_images_and_labels_are_those_of_the_rows() -> None:
    for batch in train_batches(TABLE, np.arange(5, 50), 8, 0, 1):
        np.testing.assert_array_equal(batch.images.numpy(), TABLE.images(batch.indices))
        assert batch.images.dtype == torch.uint8
        assert batch.labels.tolist() == TABLE.rows["label"].iloc[batch.indices].tolist()
        assert batch.labels.dtype == torch.int64


@pytest.mark.parametrize("start_step", [0, 1, 3, 6, 99])
def test_an_epoch_goes_on_where_it_was_left(start_step: int) -> None:
    whole = [batch.indices.tolist() for batch in train_batches(TABLE, np.arange(50), 8, 3, 2)]
    rest = [batch.indices.tolist() for batch in train_batches(TABLE, np.arange(50), 8, 3, 2, start_step)]
    assert rest == whole[start_step:]


def test_the_order_depends_on_seed_and_epoch_but_not_on_the_rows_order() -> None:
    def order(rows: np.ndarray, seed: int, epoch: int) -> list[int]:
        return [int(index) for batch in train_batches(TABLE, rows, 8, seed, epoch) for index in batch.indices]

    rows = np.arange(50)
    assert order(rows, 1, 1) == order(rows[::-1], 1, 1)
    assert len({tuple(order(rows, seed, epoch)) for seed in (0, 1) for epoch in (1, 2, 3)}) == 6
