from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from core.data.clinical.labels import Target
from core.errors import LabelError
from core.experiments.referee.judge import judge
from core.experiments.referee.table import read_predictions
from tests.experiments.referee.tables import draw_table, read


@pytest.mark.parametrize(
    ("separator", "decimal", "encoding"), [(",", ".", "utf-8"), (";", ",", "utf-8-sig"), ("\t", ".", "utf-16")]
)
def test_a_table_of_any_spelling_is_the_same(separator: str, decimal: str, encoding: str, tmp_path: Path) -> None:
    table = draw_table(20).rename(columns={"id": "Patient ID", "label": "y_true", "probability": "Y-prob"})
    path = tmp_path / "any.csv"
    table.to_csv(path, index=False, sep=separator, decimal=decimal, encoding=encoding)
    found = read_predictions(path)
    np.testing.assert_allclose(found.rows["score"], logit(table["Y-prob"]))
    assert found.rows["label"].tolist() == table["y_true"].tolist()
    assert found.is_probability


def test_excel_and_words_for_labels(tmp_path: Path) -> None:
    table = draw_table(12).assign(label=lambda one: one["label"].map({0: "Unmethylated", 1: "methylated"}))
    table.to_excel(tmp_path / "a.xlsx", index=False)
    assert read_predictions(tmp_path / "a.xlsx").rows["label"].sum() == (table["label"] == "methylated").sum()
    table["label"] = table["label"].map({"Unmethylated": "oligo", "methylated": "astro"})
    table.to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(LabelError, match="--positive"):
        read_predictions(tmp_path / "b.csv")
    found = read_predictions(tmp_path / "b.csv", Target(column="label", positive="astro"))
    assert found.rows["label"].sum() == (table["label"] == "astro").sum()
    assert found.class_names == ("oligo", "astro")


def test_scores_are_no_probabilities(tmp_path: Path) -> None:
    table = draw_table(20)
    named = read(table.rename(columns={"probability": "score"}), tmp_path)
    assert (named.is_probability, named.out_of_range) == (False, False)
    outside = read(table.assign(probability=table["probability"] * 3), tmp_path)
    assert (outside.is_probability, outside.out_of_range) == (False, True)


def test_covariates_under_their_names_and_free_text_left_out(tmp_path: Path) -> None:
    table = draw_table(40).assign(
        Gender=["M", "F"] * 20,
        Age_at_scan=[str(age) for age in range(40, 79)] + ["unknown"],
        note=[f"n{i}" for i in range(40)],
    )
    found = read(table, tmp_path)
    assert found.covariates == ("sex", "age")
    assert found.rows["age"].isna().sum() == 1
    assert set(found.rows["sex"]) == {"male", "female"}
    assert any("note" in text for text in found.notes)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("P1,1,high", "line 3: probability is 'high'"),
        ("P1,perhaps,0.5", "it holds '0' \\(1\\), 'perhaps'"),
        (",1,0.5", "line 3: the id is empty"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(row: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"id,label,probability\nP0,0,0.2\n{row}\n")
    with pytest.raises(LabelError, match=words):
        read_predictions(tmp_path / "a.csv")


def test_labels_of_minus_one_and_one_are_two_classes(tmp_path: Path) -> None:
    table = draw_table(20)
    signs = read(table.assign(label=2 * table["label"] - 1), tmp_path)
    assert signs.rows["label"].tolist() == table["label"].tolist()
    unknown = read(table.assign(label=table["label"].where(table.index > 3, other=-1)), tmp_path)
    assert unknown.rows["label"].isna().sum() == 4, "beside 0 and 1 it is a value that is not known"
    assert "missing_labels" in {one["kind"] for one in judge(unknown)["findings"]}


def test_further_answers_and_numbers_of_rows_are_no_covariates(tmp_path: Path) -> None:
    table = draw_table(40).reset_index().assign(prob_0=lambda one: 1 - one["probability"], age=range(40, 80))
    found = read(table.assign(y_pred=lambda one: (one["probability"] > 0.5).astype(int)), tmp_path)
    assert found.covariates == ("age",)
    assert "y_pred" in " ".join(found.notes)
    assert found.is_probability
    np.testing.assert_allclose(found.rows["given"], table["probability"])


def test_a_table_without_ids_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LabelError, match="expected id, label and probability"):
        read_predictions(tmp_path / "a.csv")


def test_the_site_from_the_letters_of_the_id(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["sub-BO1", "sub-KA12"], "label": [0, 1], "probability": [0.1, 0.9]})
    table.to_csv(tmp_path / "a.csv", index=False)
    assert read_predictions(tmp_path / "a.csv", site_from_id=True).rows["site"].tolist() == ["BO", "KA"]


def test_what_a_guard_abstained_from_is_counted_and_is_no_covariate(tmp_path: Path) -> None:
    table = draw_table(20).assign(abstained=["true", "false"] * 10)
    table.loc[table["abstained"] == "true", "probability"] = np.nan
    table.to_csv(tmp_path / "a.csv", index=False)
    found = read_predictions(tmp_path / "a.csv")
    assert any("abstained from 10 of 20 rows" in note for note in found.notes)
    assert "abstained" not in found.covariates
    assert found.rows["score"].isna().sum() == 10
