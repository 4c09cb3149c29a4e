import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import EvaluationError
from core.evaluation.intervals import auroc_interval
from core.evaluation.power import patients_needed
from core.experiments.referee.judge import Questions, judge
from tests.experiments.referee.tables import draw_table, read

QUICK = Questions(baselines=False)


def test_a_hold_out_is_judged_as_evaluate_does(tmp_path: Path) -> None:
    table = draw_table()
    found = judge(read(table, tmp_path), QUICK)
    auroc = found["discrimination"]["auroc"]
    expected = auroc_interval(table["label"] == 1, table["probability"])
    assert (auroc["value"], auroc["low"], auroc["high"]) == pytest.approx(expected)
    assert found["calibration"]["slope"]["low"] < 1 < found["calibration"]["slope"]["high"]
    assert found["net_benefit"]["adds"]
    assert found["leaks"]["verdict"].startswith("cannot be told")
    json.dumps(found, allow_nan=False)


def test_a_part_column_without_an_entry_tells_of_no_leak(tmp_path: Path) -> None:
    found = judge(read(draw_table(60).assign(part=""), tmp_path), QUICK)
    assert found["leaks"]["verdict"].startswith("cannot be told")


def test_folds_are_never_pooled(tmp_path: Path) -> None:
    table = draw_table(400, signal=1.5).assign(fold=lambda one: np.arange(len(one)) % 4)
    pooled = table.assign(probability=table["probability"] * (0.2 + 0.2 * table["fold"]))
    found = judge(read(pooled, tmp_path), QUICK)
    within = [auroc_interval(fold["label"] == 1, fold["probability"])[0] for _, fold in table.groupby("fold")]
    assert found["design"] == "folds"
    assert found["discrimination"]["auroc"]["value"] == pytest.approx(np.mean(within))


def test_rows_of_one_id_are_one_patient(tmp_path: Path) -> None:
    table = draw_table(60)
    slices = pd.concat([table] * 5)
    found, once = judge(read(slices, tmp_path), QUICK), judge(read(table, tmp_path), QUICK)
    assert found["n"] == 60
    assert found["discrimination"]["auroc"] == once["discrimination"]["auroc"]
    assert [one["kind"] for one in found["findings"]] == ["several_rows_per_id"]


def test_two_models_are_compared_patient_by_patient(tmp_path: Path) -> None:
    table = draw_table(400)
    noise = np.random.default_rng(1).random(400)
    found = judge(read(table.assign(probability_b=noise), tmp_path), QUICK)["comparison"]
    assert found["auroc"]["low"] > 0
    assert found["log_loss"]["high"] < 0


def test_folds_of_one_class_are_told_and_give_no_baselines(tmp_path: Path) -> None:
    table = draw_table(60).sort_values("label").assign(fold=np.arange(60) // 12, age=np.arange(60))
    found = judge(read(table, tmp_path))
    assert "one class only" in found["baselines"][0]["reason"]
    json.dumps(found, allow_nan=False)


def test_scores_have_no_calibration(tmp_path: Path) -> None:
    found = judge(read(draw_table().rename(columns={"probability": "score"}), tmp_path), QUICK)
    assert "no probabilities" in found["calibration"]["reason"]
    assert set(found["discrimination"]) == {"auroc", "auprc"}


def test_covariates_give_subgroups_and_baselines(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    table = draw_table(200).assign(
        age=generator.normal(60, 9, 200).round(1),
        sex=generator.choice(["M", "F"], 200),
        site=generator.choice(list("AB"), 200),
    )
    table.loc[:9, "age"] = np.nan
    found = judge(read(table, tmp_path))
    assert {one["covariate"] for one in found["subgroups"]} == {"age", "sex", "site"}
    assert [one["name"] for one in found["baselines"]] == ["age + sex", "site", "all covariates"]
    assert all(one["p"] < 0.01 and one["added_auroc"] > 0.1 for one in found["baselines"])
    assert found["missing"][0]["column"] == "age"
    assert found["missing"][0]["missing"] == 10


def test_statistical_flaws_are_found_and_clean_tables_are_left_alone(tmp_path: Path) -> None:
    table = draw_table(400, parts=True)
    assert judge(read(table, tmp_path), QUICK)["findings"] == []
    turned = judge(read(table.assign(probability=1 - table["probability"]), tmp_path), QUICK)
    assert {"below_chance", "miscalibrated"} <= {one["kind"] for one in turned["findings"]}
    assert turned["findings"][0]["p"] < 0.05


def test_the_best_of_many_gains_by_chance(tmp_path: Path) -> None:
    found = judge(read(draw_table(100), tmp_path), Questions(baselines=False, tried=20, label_error=(0.95, 0.95)))
    assert found["selection"]["gain_by_chance"] == pytest.approx(1.867 * 0.058, abs=0.01)
    assert found["label_error"]["at_random"]["value"] > found["discrimination"]["auroc"]["value"]


def test_a_table_without_predictions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no column of predictions"):
        judge(read(draw_table().drop(columns="probability"), tmp_path))


def test_ten_thousand_rows_take_seconds(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    table = draw_table(10_000).assign(
        age=generator.normal(60, 9, 10_000).round(1), sex=generator.choice(["M", "F"], 10_000)
    )
    start = time.process_time()
    judge(read(table, tmp_path))
    assert time.process_time() - start < 10


def test_predictive_values_where_few_are_positive(tmp_path: Path) -> None:
    table = read(draw_table(300), tmp_path)
    rare, common = (
        judge(table, Questions(baselines=False, prevalence=share))["predictive_values"] for share in (0.05, 0.5)
    )
    assert rare["positive_value"]["value"] < 0.25 < common["positive_value"]["value"]
    assert rare["negative_value"]["value"] > common["negative_value"]["value"]
    with pytest.raises(EvaluationError, match="prevalence"):
        judge(table, Questions(prevalence=1.5))


def test_more_patients_than_fit_in_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.experiments.referee.judge.MOST_PATIENTS", 20)
    with pytest.raises(EvaluationError, match="20 at most"):
        judge(read(draw_table(30), tmp_path))


def test_patients_are_planned_for_the_design_that_was_judged(tmp_path: Path) -> None:
    folds = judge(read(draw_table().assign(fold=lambda one: np.arange(len(one)) % 5), tmp_path), QUICK)["sample_size"]
    share = float(draw_table()["label"].mean())
    assert folds["needed"]["0.6"] == patients_needed(0.6, prevalence=share, design="folds")
    assert folds["smallest_auroc"] > 0.6
    assert folds["needed"]["0.6"] > folds["n"]
    few = judge(read(draw_table(16).assign(fold=lambda one: np.arange(len(one)) // 8), tmp_path), QUICK)["sample_size"]
    assert "too few to plan with" in few["reason"]


def test_one_part_or_one_fold_tells_of_no_leak(tmp_path: Path) -> None:
    for one in ({"part": "val"}, {"fold": 3}, {"part": "test", "fold": 3}):
        verdict = judge(read(draw_table(60).assign(**one), tmp_path), QUICK)["leaks"]["verdict"]
        assert verdict.startswith("cannot be told: all rows are of one"), one
    dealt = draw_table(60).assign(part="test", fold=lambda one: np.arange(len(one)) % 3)
    assert judge(read(dealt, tmp_path), QUICK)["leaks"]["verdict"].startswith("none found")


def test_scores_that_are_turned_round_are_called_so(tmp_path: Path) -> None:
    table = draw_table()
    sentence = judge(read(table.assign(probability=1 - table["probability"]), tmp_path), QUICK)["sentence"]
    assert sentence.startswith("The ranking is below chance, and the scores may be turned round: AUROC 0.2")
