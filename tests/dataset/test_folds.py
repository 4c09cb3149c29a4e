"""Folds: disjoint, complete, stratified, and the same however the input is turned."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import SplitConfig
from core.dataset.folds import deal_folds, make_folds, split_outside
from core.errors import SplitError
from tests.data.tables import alternating, make_table

labels = st.lists(st.integers(0, 2), min_size=0, max_size=60).map(lambda drawn: [0, 1, 2] * 5 + drawn)


@settings(deadline=None)
@given(labels=labels, folds=st.integers(2, 5), seed=st.integers(0, 99), order=st.randoms(use_true_random=False))
def test_folds_are_disjoint_complete_stratified_and_independent_of_order(labels, folds, seed, order) -> None:  # type: ignore[no-untyped-def]
    units = {f"{number:04d}": label for number, label in enumerate(labels)}
    dealt = deal_folds(units, folds, seed)
    assert sorted(unit for fold in dealt for unit in fold) == sorted(units)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    for label in set(labels):
        counts = [sum(units[unit] == label for unit in fold) for fold in dealt]
        assert max(counts) - min(counts) <= 1
    turned = list(units.items())
    order.shuffle(turned)
    assert deal_folds(dict(turned), folds, seed) == dealt


def test_another_seed_deals_otherwise_and_the_same_alike() -> None:
    units = {f"{number:04d}": number % 2 for number in range(40)}
    assert deal_folds(units, 5, 0) == deal_folds(units, 5, 0)
    assert deal_folds(units, 5, 0) != deal_folds(units, 5, 1)


def test_ids_of_one_person_stay_together_and_the_unlabelled_stay_out() -> None:
    table = make_table({f"{number:05}": number % 2 if number < 20 else -1 for number in range(24)})
    twin = table.rows["study_id"] == "00002"
    table = replace(table, rows=table.rows.assign(person=table.rows["person"].where(~twin, "00000")))
    folds = make_folds(table, 4, 0)
    everybody = [person for fold in folds for person in fold]
    assert len(everybody) == len(set(everybody)) == 19
    assert "00002" not in everybody
    assert not {"00020", "00023"} & set(everybody)


@pytest.mark.parametrize("inner_folds", [1, 3])
def test_the_fold_is_the_test_part_and_chooses_nothing(inner_folds: int) -> None:
    table = make_table(alternating(40))
    held = make_folds(table, 4, 0)[1]
    splits = split_outside(table, held, SplitConfig(val_fraction=0.25), "0" * 12, 7, inner_folds)
    assert len(splits) == inner_folds
    outside = set(table.rows["person"]) - set(held)
    for split in splits:
        assert set(split.test) == set(held)
        assert set(split.train) | set(split.val) == outside
        assert split.unit == "patient"
    if inner_folds > 1:
        assert sorted(person for split in splits for person in split.val) == sorted(outside)
    shuffled = replace(table, rows=table.rows.sample(frac=1, random_state=1).reset_index(drop=True))
    assert split_outside(shuffled, held, SplitConfig(val_fraction=0.25), "0" * 12, 7, inner_folds) == splits


def test_given_folders_are_not_looked_at() -> None:
    table = make_table(alternating(20))
    phased = replace(
        table, rows=table.rows.assign(phase=["TRAIN" if n % 3 else "TEST" for n in range(len(table.rows))])
    )
    folds = make_folds(phased, 4, 0)
    assert folds == make_folds(table, 4, 0)
    assert split_outside(phased, folds[0], SplitConfig(), "0" * 12, 0) == split_outside(
        table, folds[0], SplitConfig(), "0" * 12, 0
    )


def test_too_few_patients_are_told_with_their_numbers() -> None:
    units = {f"{number}": int(number < 3) for number in range(20)}
    with pytest.raises(SplitError, match=r"17 unmethylated, 3 methylated.*fewer folds"):
        deal_folds(units, 5, 0, ("unmethylated", "methylated"))
    with pytest.raises(SplitError, match="two folds at least"):
        deal_folds(units, 1, 0)
