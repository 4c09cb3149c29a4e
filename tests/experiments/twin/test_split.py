"""The two arms: the same judged slices, equally many to train on, and siblings in one of them only."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from core.config import SplitConfig
from core.dataset.slice_table import SliceTable
from core.dataset.split import PARTS, Part, Split
from core.errors import SplitError
from core.experiments.twin.split import TwinSplits, split_twins
from tests.data.tables import alternating, make_table

TABLE = make_table(alternating(40), slices=8)


def keys(split: Split, table: SliceTable, part: Part) -> set[str]:
    return set(table.rows["key"].iloc[split.indices(table, part)])


def persons(split: Split, table: SliceTable, part: Part) -> set[str]:
    return set(table.rows["person"].iloc[split.indices(table, part)])


def draw(table: SliceTable = TABLE, **config: float) -> TwinSplits:
    return split_twins(table, SplitConfig.model_validate(config), "d" * 12)


def class_counts(split: Split, table: SliceTable) -> dict[int, int]:
    return dict(table.rows["label"].iloc[split.indices(table, "train")].value_counts())


@pytest.mark.parametrize("test_fraction", [0.2, 0.4])
@pytest.mark.parametrize("seed", [0, 1])
def test_both_arms_are_judged_on_the_same_slices_and_trained_on_equally_many(test_fraction: float, seed: int) -> None:
    twins = draw(test_fraction=test_fraction, split_seed=seed)
    for part in ("val", "test"):
        assert keys(twins.by_slice, TABLE, part) == keys(twins.by_patient, TABLE, part) != set()
    assert class_counts(twins.by_slice, TABLE) == class_counts(twins.by_patient, TABLE)


@pytest.mark.parametrize("seed", range(3))
def test_only_siblings_differ(seed: int) -> None:
    twins = draw(split_seed=seed)
    judged = persons(twins.by_slice, TABLE, "val") | persons(twins.by_slice, TABLE, "test")
    assert not judged & persons(twins.by_patient, TABLE, "train")
    assert judged <= persons(twins.by_slice, TABLE, "train")
    in_training = keys(twins.by_slice, TABLE, "train")
    siblings = {key for key in in_training if key.split("|")[0] in judged}
    assert len(siblings) == twins.siblings == 16 * 6
    assert in_training - siblings < keys(twins.by_patient, TABLE, "train")


def test_no_slice_stands_in_two_parts() -> None:
    for split in (draw().by_slice, draw().by_patient):
        found = [keys(split, TABLE, part) for part in PARTS]
        assert sum(len(part) for part in found) == len(set().union(*found))


def test_where_siblings_are_more_than_room_each_judged_patient_still_has_some() -> None:
    twins = draw(val_fraction=0.3, test_fraction=0.5)
    training = persons(twins.by_slice, TABLE, "train")
    assert persons(twins.by_slice, TABLE, "test") <= training
    assert twins.siblings == len(twins.by_patient.indices(TABLE, "train"))


def test_it_does_not_depend_on_the_order_of_the_table() -> None:
    turned = replace(TABLE, rows=TABLE.rows.iloc[::-1].reset_index(drop=True))
    assert draw(turned) == draw()
    assert draw(split_seed=1) != draw()


def test_a_patient_of_one_slice_is_not_judged() -> None:
    rows = pd.concat(
        [
            TABLE.rows[TABLE.rows["study_id"] == name].head(1 if number < 20 else 8)
            for number, name in enumerate(alternating(40))
        ]
    )
    table = replace(TABLE, rows=rows.reset_index(drop=True))
    judged = persons(draw(table).by_slice, table, "test")
    assert judged
    assert min(judged) >= "00020"


def test_one_slice_each_gives_no_siblings() -> None:
    with pytest.raises(SplitError, match="slice_count"):
        draw(make_table(alternating(40), slices=1))


def test_somebody_must_be_left_to_judge() -> None:
    with pytest.raises(SplitError, match="test_fraction"):
        draw(test_fraction=0)


def test_a_split_with_chosen_slices_survives_the_file() -> None:
    split = draw().by_patient
    assert Split.from_json(split.to_json()) == split
    assert split.digest != replace(split, kept=()).digest
    assert split.test_digest == replace(split, kept=()).test_digest
