"""The split: disjoint, complete, of both classes, and the same however the input is turned."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import SplitConfig
from core.dataset.slice_table import SliceTable
from core.dataset.split import PARTS, Split, make_split
from core.errors import SplitError, SplitOverlapError
from tests.data.tables import alternating, make_table

DIGEST = "0123456789ab"
PATIENT = SplitConfig(split_unit="patient")
SLICE = SplitConfig(split_unit="slice")


def shuffled(table: SliceTable, seed: int) -> SliceTable:
    rows = table.rows.sample(frac=1, random_state=seed).reset_index(drop=True)
    return replace(table, rows=rows)


@settings(deadline=None)
@given(
    labels=st.lists(st.integers(-1, 2), min_size=12, max_size=60),
    unit=st.sampled_from(["patient", "slice"]),
    seed=st.integers(0, 99),
    val=st.sampled_from([0.1, 0.2, 0.4]),
    test=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_a_split_is_disjoint_complete_and_independent_of_order(
    labels: list[int], unit: Literal["patient", "slice"], seed: int, val: float, test: float
) -> None:
    labels = [0, 0, 0, 1, 1, 1, 2, 2, 2, *labels]
    table = make_table({f"{number:05}": label for number, label in enumerate(labels)}, class_names=("a", "b", "c"))
    config = SplitConfig(split_unit=unit, split_seed=seed, val_fraction=val, test_fraction=test)
    split = make_split(table, config, DIGEST)
    assert make_split(shuffled(table, seed), config, DIGEST) == split

    rows = [split.indices(table, part) for part in PARTS]
    together = np.sort(np.concatenate(rows))
    np.testing.assert_array_equal(together, np.flatnonzero(table.rows["label"] >= 0))
    for part, members in zip(PARTS, rows, strict=True):
        if part == "test" and test == 0:
            assert not len(members)
        else:
            assert set(table.rows["label"].iloc[members]) == {0, 1, 2}
    if unit == "patient":
        persons = [set(table.rows["person"].iloc[members]) for members in rows]
        assert not persons[0] & persons[1] | persons[0] & persons[2] | persons[1] & persons[2]


def test_the_fractions_are_kept_class_by_class() -> None:
    labels = {f"{number:05}": int(number < 30) for number in range(100)}
    split = make_split(make_table(labels), SplitConfig(val_fraction=0.2, test_fraction=0.1), DIGEST)
    counts = {part: [labels[unit] for unit in split.units(part)] for part in PARTS}
    assert {part: (found.count(0), found.count(1)) for part, found in counts.items()} == {
        "train": (49, 21),
        "val": (14, 6),
        "test": (7, 3),
    }


def test_a_split_by_patient_does_not_depend_on_the_preparation() -> None:
    labels = alternating(20)
    assert make_split(make_table(labels, slices=2), PATIENT, DIGEST) == make_split(
        make_table(labels, slices=7, size_px=8), PATIENT, DIGEST
    )


def test_another_seed_gives_another_split_and_another_digest() -> None:
    table = make_table(alternating(40))
    one, other = (make_split(table, SplitConfig(split_seed=seed), DIGEST) for seed in (0, 1))
    assert one.test != other.test
    assert one.test_digest != other.test_digest
    assert one.digest != other.digest


def test_the_test_digest_is_of_the_test_units_alone() -> None:
    split = make_split(make_table(alternating(20)), PATIENT, DIGEST)
    moved = replace(split, train=split.train[1:], val=(*split.val, split.train[0]), test=split.test[::-1])
    assert moved.test_digest == split.test_digest
    assert moved.digest != split.digest
    assert len(split.test_digest) == 12


def test_two_ids_of_one_person_stay_together() -> None:
    persons = {"00000": "A", "00002": "A", "00001": "B", "00003": "B"}
    table = make_table(alternating(12), persons=persons)
    split = make_split(table, PATIENT, DIGEST)
    part = next(part for part in PARTS if "A" in split.units(part))
    assert {"00000", "00002"} <= set(table.rows["study_id"].iloc[split.indices(table, part)])


def test_an_unlabelled_study_of_a_labelled_person_belongs_to_no_part() -> None:
    table = make_table(alternating(12) | {"00099": -1}, persons={"00099": "00000"})
    split = make_split(table, PATIENT, DIGEST)
    used = np.concatenate([split.indices(table, part) for part in PARTS])
    assert "00099" not in set(table.rows["study_id"].iloc[used])
    assert len(used) == 36


def test_two_labels_of_one_person_are_an_error() -> None:
    table = make_table(alternating(12), persons={"00000": "A", "00001": "A"})
    with pytest.raises(SplitError, match=r"Person A \(studies 00000, 00001\) has two different labels"):
        make_split(table, PATIENT, DIGEST)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1},
            "2 patients of class methylated are too few.*3 unmethylated, 2 methyl",
        ),
        ({"1": 1, "2": 1, "3": -1}, "the labelled patients have 2 methylated"),
        ({"1": -1}, "no label at all"),
    ],
)
def test_too_few_patients_are_counted(labels: dict[str, int], message: str) -> None:
    with pytest.raises(SplitError, match=message):
        make_split(make_table(labels), PATIENT, DIGEST)


def test_a_unit_in_two_parts_is_refused() -> None:
    with pytest.raises(SplitOverlapError, match="b stands in two"):
        Split(train=("a", "b"), val=("b",), test=(), unit="patient", seed=0, cohort_digest=DIGEST)


def in_phases(names: str, count: int = 12) -> dict[str, str]:
    """Study number -> phase, two by two, so that each phase holds both classes."""
    phases = names.split()
    return {study: phases[number // 2 % len(phases)] for number, study in enumerate(alternating(count))}


def test_folders_are_the_split() -> None:
    phases = in_phases("TRAIN VAL TEST")
    split = make_split(make_table(alternating(12), phases=phases), PATIENT, DIGEST)
    assert split.source == "folders"
    for part in PARTS:
        assert set(split.units(part)) == {study for study, phase in phases.items() if phase == part.upper()}


def test_folders_without_val_draw_it_from_train() -> None:
    phases = in_phases("TRAIN TEST", 24)
    split = make_split(make_table(alternating(24), phases=phases), PATIENT, DIGEST)
    assert {phases[study] for study in (*split.train, *split.val)} == {"TRAIN"}
    assert len(split.val) == 2
    assert set(split.test) == {study for study, phase in phases.items() if phase == "TEST"}


def test_folders_without_train_are_an_error() -> None:
    with pytest.raises(SplitError, match="TEST and VAL but no TRAIN"):
        make_split(make_table(alternating(12), phases=in_phases("VAL TEST")), PATIENT, DIGEST)


def test_a_part_of_one_class_is_an_error() -> None:
    phases = dict.fromkeys(alternating(12), "TRAIN") | {"00000": "VAL"}
    with pytest.raises(SplitError, match="val part must hold at least two classes, but has 1 unmethylated"):
        make_split(make_table(alternating(12), phases=phases), PATIENT, DIGEST)


@pytest.mark.parametrize("names", ["TRAIN VAL TEST", "TRAIN TEST"])
def test_one_person_in_two_folders_is_refused_by_patient_and_kept_by_slice(names: str) -> None:
    phases: dict[str, str | list[str]] = {**in_phases(names, 24)}
    phases["00004"] = ["TRAIN", "TEST", "TEST"]
    table = make_table(alternating(24), phases=phases)
    with pytest.raises(SplitOverlapError, match=r"00004 stands in two.*--set split_unit=slice"):
        make_split(table, PATIENT, DIGEST)
    split = make_split(table, SLICE, DIGEST)
    assert split.leaky
    assert split.source == "folders"
    assert {"00004|FLAIR|0|1", "00004|FLAIR|0|2"} <= set(split.test)


def test_json_round_trip() -> None:
    split = make_split(make_table(alternating(12)), SLICE, DIGEST)
    assert Split.from_json(split.to_json()) == split


@pytest.mark.parametrize(
    "change",
    [{"unit": "voxel"}, {"train": "00001"}, {"val": [1]}, {"seed": None}, {"seed": float("inf")}, {"source": 1}],
)
def test_damaged_json_is_an_error(change: dict[str, object]) -> None:
    content = json.loads(make_split(make_table(alternating(12)), PATIENT, DIGEST).to_json())
    for text in (json.dumps(content | change), "[]", "{}", "", content["unit"]):
        with pytest.raises(SplitError, match=r"restore split\.json"):
            Split.from_json(text)
    content["val"] = content["train"]
    with pytest.raises(SplitOverlapError):
        Split.from_json(json.dumps(content))


def test_another_validation_share_keeps_the_test_patients_and_another_seed_moves_them() -> None:
    table = make_table(alternating(60))
    small, large, moved = (
        make_split(table, SplitConfig(val_fraction=share, split_seed=seed), DIGEST)
        for share, seed in ((0.1, 0), (0.3, 0), (0.1, 1))
    )
    assert small.test == large.test
    assert small.val != large.val
    assert small.test != moved.test


def test_a_split_of_the_first_version_deals_validation_first() -> None:
    table = make_table(alternating(60))
    old, new = (make_split(table, SplitConfig(split_version=version), DIGEST) for version in (1, 2))
    assert (old.val, old.test) == (new.test, new.val)
