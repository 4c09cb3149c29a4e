from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.experiments.referee.judge import Questions, judge
from core.reports.referee_page import describe_table
from tests.experiments.referee.tables import draw_table, read

QUICK = Questions(baselines=False)


def kinds(table: pd.DataFrame, folder: Path) -> set[str]:
    """What is found that is more than a note."""
    found = judge(read(table, folder), QUICK)["findings"]
    return {one["kind"] for one in found if one["severity"] != "note"}


def same_ids(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.head(8).assign(part="test")])


def zeros_apart(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.head(8).assign(part="test", id=[f"p{number}" for number in range(8)])])


def same_answers(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.head(8).assign(part="test", id=[f"X{number}" for number in range(8)])])


def both_labels(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.tail(1).assign(label=1 - table["label"].iloc[-1])])


FLAWS = {
    "id_in_two_parts": same_ids,
    "near_equal_ids": zeros_apart,
    "same_answer_twice": same_answers,
    "contradictory_labels": both_labels,
    "out_of_range": lambda table: table.assign(probability=table["probability"] * 2),
    "judged_on_train": lambda table: table.assign(part="train"),
    "judged_on_val": lambda table: table.assign(part="valid"),
    "constant_scores": lambda table: table.assign(probability=0.5),
    "below_chance_b": lambda table: table.assign(probability_b=1 - table["probability"]),
    "part_not_known": lambda table: table.assign(part=table["part"].map({"train": "A", "test": "B"})),
    "decisions": lambda table: table.assign(probability=(table["probability"] > 0.5).astype(int)),
    "few_patients": lambda table: table.tail(15),
    "covariate_is_label": lambda table: table.assign(marker=table["label"].map({0: "wild", 1: "mutant"})),
    "id_in_two_parts (folds)": lambda table: pd.concat([table, table.tail(9)]).assign(
        fold=lambda one: np.arange(len(one)) % 4
    ),
    "fold_of_one_class": lambda table: table.sort_values("label").assign(fold=np.arange(len(table)) // 50),
}


@pytest.mark.parametrize("kind", FLAWS)
def test_a_flaw_that_the_table_shows_is_found(kind: str, tmp_path: Path) -> None:
    table = draw_table(parts=kind not in ("fold_of_one_class", "id_in_two_parts (folds)"))
    assert kinds(table, tmp_path) == set()
    assert kind.removesuffix(" (folds)") in kinds(FLAWS[kind](table), tmp_path)


def test_persons_on_both_sides_are_left_out_and_counted(tmp_path: Path) -> None:
    table = draw_table(parts=True)
    honest, leaky = judge(read(table, tmp_path), QUICK), judge(read(same_ids(table), tmp_path), QUICK)
    assert leaky["leaks"]["persons"] == leaky["leaks"]["left_out"] == 8
    assert leaky["discrimination"] == honest["discrimination"]
    assert leaky["leaks"]["with_them"]["n"] == honest["n"] + 8


def test_rounded_answers_are_no_duplicates(tmp_path: Path) -> None:
    assert kinds(draw_table(parts=True).round({"probability": 3}), tmp_path) == set()


def test_missing_predictions_are_counted_and_those_of_one_class_are_a_warning(tmp_path: Path) -> None:
    table = draw_table(parts=True)
    at_random = table.assign(probability=table["probability"].where(table.index % 9 > 0, other=np.nan))
    found = judge(read(at_random, tmp_path), QUICK)["findings"]
    assert [(one["kind"], one["severity"]) for one in found] == [("missing_predictions", "note")]
    of_ones = table.assign(
        probability=table["probability"].where((table["label"] == 0) | (table.index % 3 > 0), other=np.nan)
    )
    assert kinds(of_ones, tmp_path) == {"missing_by_label"}


def test_one_fold_of_many_and_many_subgroups_are_said(tmp_path: Path) -> None:
    assert kinds(draw_table().assign(fold=3), tmp_path) == {"one_fold"}
    generator = np.random.default_rng(0)
    groups = {f"group {number}": generator.choice(["a", "b"], 200) for number in range(6)}
    (note,) = judge(read(draw_table(200).assign(**groups), tmp_path), QUICK)["notes"]
    assert "12 subgroups are listed: at least one of 12 intervals of 95% misses by chance in up to 60%" in note


def test_a_person_of_two_spellings_is_one_person(tmp_path: Path) -> None:
    table = draw_table(parts=True)
    for twice in (zeros_apart, same_answers):
        assert judge(read(twice(table), tmp_path), QUICK)["leaks"]["persons"] == 8


def test_folds_that_rank_nobody_are_told(tmp_path: Path) -> None:
    table = draw_table().assign(fold=lambda one: np.arange(len(one)) % 5)
    assert kinds(table, tmp_path) == set()
    constant = table.assign(probability=0.3 + table["fold"] / 10)
    assert "constant_scores" in kinds(constant, tmp_path)
    most = constant.assign(probability=constant["probability"].where(table["fold"] < 4, table["probability"]))
    found = judge(read(most, tmp_path), QUICK)
    assert "4 of 5 folds" in next(one["text"] for one in found["findings"] if one["kind"] == "constant_in_fold")
    assert "all scores are equal in 4 of 5 folds" in found["discrimination"]["auroc"]["method"]


def copied(table: pd.DataFrame, times: int = 4) -> pd.DataFrame:
    return pd.concat([table.assign(id=table["id"] + f"_copy{number}") for number in range(times)])


def test_persons_copied_under_other_ids_are_seen(tmp_path: Path) -> None:
    table = draw_table()
    assert "same_answer_twice" in kinds(copied(table), tmp_path)
    assert "same_answer_twice" in kinds(pd.concat([table, copied(table.head(100), 1)]), tmp_path)
    parts = draw_table(parts=True)
    assert "same_answer_twice" in kinds(pd.concat([parts, copied(parts.tail(100), 2)]), tmp_path)
    found = judge(read(copied(table).assign(part=np.repeat(["train", "test"], 600)), tmp_path), QUICK)
    assert found["leaks"]["persons"] == 300


def test_a_person_counts_once_however_often_he_is_in_the_table(tmp_path: Path) -> None:
    table = draw_table()
    honest = judge(read(table, tmp_path), QUICK)
    spelt = pd.concat([table, table.assign(id="sub-" + table["id"].str.lower()), table.tail(40)])
    for twice, count in ((spelt, len(table)), (copied(table), 3 * len(table)), (copied(spelt, 1), len(table))):
        found = judge(read(twice, tmp_path), QUICK)
        assert (found["n"], found["positive"], found["copies"]) == (honest["n"], honest["positive"], count)
        assert found["discrimination"]["auroc"] == pytest.approx(honest["discrimination"]["auroc"])
        assert found["calibration"]["slope"]["high"] == pytest.approx(honest["calibration"]["slope"]["high"])
        assert f"({count} ids are copies of others and count with them)" in describe_table(found)
    other = table.assign(id="sub-" + table["id"].str.lower(), label=1 - table["label"])
    assert judge(read(pd.concat([table, other]), tmp_path), QUICK)["n"] == 2 * honest["n"], "two labels are two persons"


def test_a_leaked_person_is_left_out_under_every_spelling(tmp_path: Path) -> None:
    table = draw_table(parts=True)
    test = table[table["part"] == "test"]
    leaky = pd.concat(
        [table, test.head(5).assign(part="train"), test.head(5).assign(id="sub-" + test["id"].str.lower())]
    )
    found = judge(read(leaky, tmp_path), QUICK)
    assert found["leaks"]["left_out"] == 5
    assert found["n"] == len(test) - 5


@pytest.mark.parametrize("answers", ["votes", "half precision", "separated", "one answer a person"])
def test_answers_that_repeat_by_chance_are_no_copies(answers: str, tmp_path: Path) -> None:
    table = draw_table(600, signal=1.5)
    odds = np.log(table["probability"] / (1 - table["probability"]))
    if answers == "votes":
        table["probability"] = (table["probability"] * 997).round() / 997
    elif answers == "half precision":
        table["probability"] = 1 / (1 + np.exp(-odds.astype(np.float16).astype(float)))
    elif answers == "separated":
        table["probability"] = (table["label"] / 2 * 997 + (table["probability"] * 997 / 2).round()) / 998
    else:
        table = pd.concat([table] * 3)
    assert "same_answer_twice" not in kinds(table, tmp_path)
