import numpy as np
import pytest
from sklearn import metrics as oracle

from core.errors import EvaluationError
from core.evaluation.calibration import to_probabilities
from core.evaluation.figures import FIGURES, compute_figures, predict_classes

GENERATOR = np.random.default_rng(11)
LABELS = np.array([0] * 17 + [1] * 23)
LOGITS = GENERATOR.normal(0, 1, (40, 2)) + 0.8 * np.eye(2)[LABELS]


def test_values_agree_with_scikit_learn_and_carry_intervals() -> None:
    figures = compute_figures(LABELS, LOGITS, threshold=0.6, temperature=2.0)
    probability = to_probabilities(LOGITS, 2.0)[:, 1]
    said = (probability >= 0.6).astype(int)
    expected = {
        "auroc": oracle.roc_auc_score(LABELS, probability),
        "auprc": oracle.average_precision_score(LABELS, probability),
        "accuracy": oracle.accuracy_score(LABELS, said),
        "balanced_accuracy": oracle.balanced_accuracy_score(LABELS, said),
        "sensitivity": oracle.recall_score(LABELS, said),
        "specificity": oracle.recall_score(LABELS, said, pos_label=0),
        "brier": oracle.brier_score_loss(LABELS, probability),
        "log_loss": oracle.log_loss(LABELS, probability),
        "majority_accuracy": 23 / 40,
    }
    assert {name: figures[name].value for name in expected} == pytest.approx(expected)
    assert tuple(figures) == FIGURES
    for name in set(FIGURES) - {"majority_accuracy"}:
        figure = figures[name]
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high, name
        assert figure.method
    assert [figures[name].n for name in ("accuracy", "sensitivity", "specificity")] == [40, 23, 17]
    assert figures["majority_accuracy"].low is None


def test_one_class_only_gives_reasons_instead_of_values() -> None:
    figures = compute_figures(np.ones(6, int), LOGITS[-6:])
    for name in ("auroc", "auprc", "balanced_accuracy"):
        assert figures[name].value is None
        assert "one class" in figures[name].reason
    assert figures["specificity"].value is None
    assert figures["specificity"].reason == "none is unmethylated"
    assert figures["specificity"].n == 0
    assert figures["sensitivity"].value is not None
    assert figures["accuracy"].value is not None


def test_slices_are_judged_with_patients_as_the_unit() -> None:
    patients = np.repeat([f"{index:05d}" for index in range(40)], 8)
    labels, logits = np.repeat(LABELS, 8), np.repeat(LOGITS, 8, axis=0)
    by_slice, by_patient = compute_figures(labels, logits, patients), compute_figures(LABELS, LOGITS)
    naive = compute_figures(labels, logits)
    for name in ("auroc", "auprc", "accuracy", "balanced_accuracy", "brier", "sensitivity"):
        ours, honest, wrong = by_slice[name], by_patient[name], naive[name]
        assert "patient" in ours.method, name
        assert ours.value == pytest.approx(honest.value)
        assert ours.n == 8 * honest.n
        width = ours.high - ours.low  # type: ignore[operator]
        assert width > 2 * (wrong.high - wrong.low), name  # type: ignore[operator]
        assert width == pytest.approx(honest.high - honest.low, rel=0.25), name  # type: ignore[operator]


def test_perfect_answers_of_slices_do_not_claim_certainty() -> None:
    patients = np.repeat(np.arange(10), 20)
    labels = patients % 2
    figures = compute_figures(labels, 9.0 * np.eye(2)[labels], patients)
    assert figures["accuracy"].value == 1.0
    assert figures["accuracy"].low < 0.8  # type: ignore[operator]
    assert figures["auroc"].low < 0.9  # type: ignore[operator]
    assert figures["balanced_accuracy"].low < 0.8  # type: ignore[operator]
    assert figures["auprc"].low < 0.9  # type: ignore[operator]


def test_a_single_patient_of_a_class_gives_a_value_without_interval() -> None:
    figures = compute_figures([0, 0, 0, 1], LOGITS[[0, 1, 2, 30]])
    assert figures["auroc"].value is not None
    assert figures["auroc"].low is None
    assert "two of each class" in figures["auroc"].reason


def test_the_positive_class_may_be_the_first() -> None:
    figures = compute_figures(1 - LABELS, LOGITS[:, ::-1], class_names=("methylated", "unmethylated"), positive_class=0)
    straight = compute_figures(LABELS, LOGITS)
    for name in FIGURES:
        assert figures[name].value == pytest.approx(straight[name].value), name


def test_three_classes_get_what_makes_sense_and_reasons_for_the_rest() -> None:
    labels = np.arange(60) % 3
    logits = GENERATOR.normal(0, 1, (60, 3)) + np.eye(3)[labels]
    figures = compute_figures(labels, logits, class_names=("a", "b", "c"))
    assert figures["accuracy"].value == pytest.approx(oracle.accuracy_score(labels, logits.argmax(axis=1)))
    expected = oracle.roc_auc_score(labels, to_probabilities(logits), multi_class="ovr")
    assert figures["auroc"].value == pytest.approx(expected)
    assert figures["auroc"].low < expected < figures["auroc"].high  # type: ignore[operator]
    assert "one-against-rest" in figures["auroc"].method
    assert {name for name in FIGURES if figures[name].value is None} == {
        "sensitivity", "specificity", "auprc", "brier", "ece", "log_loss",
    }  # fmt: skip
    assert figures["brier"].reason == "for two classes only"


def test_saturated_probabilities_still_rank() -> None:
    logits = np.array([[0.0, 800.0], [0.0, 900.0], [0.0, 700.0], [0.0, 750.0]])
    assert compute_figures([1, 1, 0, 0], logits)["auroc"].value == 1.0


def test_predicted_class_follows_the_threshold() -> None:
    assert predict_classes([[0.0, 0.1], [0.0, 3.0]], threshold=0.8).tolist() == [0, 1]
    assert predict_classes([[0.0, 0.1], [0.0, -3.0]], threshold=0.8, positive_class=0).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "logits", "message"),
    [
        ([], np.empty((0, 2)), "nothing to evaluate"),
        ([0, 1], np.zeros((2, 3)), "do not fit"),
        ([0, 1], np.array([[0.0, np.nan], [0.0, 1.0]]), "not finite"),
    ],
)
def test_what_cannot_be_judged_is_refused(labels: list[int], logits: np.ndarray, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        compute_figures(labels, logits)


@pytest.mark.parametrize("name", ["auroc", "auprc"])
def test_equal_scores_rank_nobody_and_have_no_area(name: str) -> None:
    found = compute_figures([0, 1] * 10, np.zeros((20, 2)))[name]
    assert found.value is None
    assert found.reason == "withheld: all scores are equal, so that nobody is ranked"
