import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from core.errors import EvaluationError
from core.experiments.referee.baselines import (
    conditional_permutation_p,
    evaluate_baselines,
    likelihood_ratio_p,
    list_sets,
)


def draw_patients(n: int = 200, seed: int = 0, image: float = 0.0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    age, sex = generator.normal(60, 10, n), generator.choice(["male", "female"], n)
    odds = (age - 60) / 10 + (sex == "male") + image * (noise := generator.normal(size=n)) - 0.5
    labels = (generator.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    score = (age - 60) / 10 + noise
    return pd.DataFrame({"id": np.arange(n).astype(str), "label": labels, "age": age, "sex": sex, "score": score})


def test_age_and_sex_match_scikit_learn_by_hand() -> None:
    patients = draw_patients()
    (found,) = evaluate_baselines(patients, {"age + sex": ("age", "sex")}, repeats=2)
    areas = []
    for seed in (0, 1):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed).split(patients, patients["label"])
        for train, test in folds:
            age = patients["age"].to_numpy()
            columns = np.column_stack(
                [(age - age[train].mean()) / age[train].std(), patients["sex"] == "male", patients["sex"] == "female"]
            )
            model = LogisticRegression().fit(columns[train], patients["label"].iloc[train])
            areas.append(roc_auc_score(patients["label"].iloc[test], model.decision_function(columns[test])))
    assert found.auroc.value == pytest.approx(np.mean(areas), abs=0.002)


@pytest.mark.parametrize("in_folds", [False, True])
def test_a_score_that_repeats_age_adds_nothing_and_one_that_sees_more_does(in_folds: bool) -> None:
    p_values = {}
    for image in (0.0, 1.5):
        patients = draw_patients(image=image, seed=3)
        folds = (np.arange(len(patients)) % 5).astype(str) if in_folds else None
        (found,) = evaluate_baselines(patients, {"age + sex": ("age", "sex")}, folds, repeats=1)
        p_values[image] = found.p
        assert found.added_auroc is not None
        assert (found.added_auroc > 0.05) == (image > 0)
    assert p_values[0.0] > 0.05 > p_values[1.5]


def test_both_tests_keep_their_level() -> None:
    ratio, permuted = [], []
    for seed in range(200):
        patients = draw_patients(120, seed)
        labels, scores = patients["label"].to_numpy(), patients["score"].to_numpy()
        clinical = (patients["age"].to_numpy() - 60) / 10 + (patients["sex"] == "male")
        ratio.append(likelihood_ratio_p(labels, clinical.to_numpy()[:, None], scores))
        strata = pd.qcut(clinical, 5, labels=False).to_numpy()
        permuted.append(conditional_permutation_p(labels, clinical.to_numpy(), scores, strata, shuffles=99))
    for p_values in (ratio, permuted):
        assert np.mean(np.array(p_values) <= 0.05) <= 0.1


def test_sets_are_named_once_and_few_patients_are_refused() -> None:
    assert list_sets(["age", "sex"]) == {"age + sex": ("age", "sex")}
    assert list(list_sets(["age", "site", "scanner"])) == ["age", "site + scanner", "all covariates"]
    with pytest.raises(EvaluationError, match="smaller class has"):
        evaluate_baselines(draw_patients(12), {"age": ("age",)})


def test_missing_covariates_are_counted_and_filled() -> None:
    patients = draw_patients()
    patients.loc[:20, "age"] = np.nan
    (found,) = evaluate_baselines(patients.drop(columns="score"), {"age": ("age",)}, repeats=1)
    assert found.missing == 21
    assert found.auroc.value is not None
    assert found.added_auroc is None
