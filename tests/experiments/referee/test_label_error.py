import numpy as np
import pytest

from core.errors import EvaluationError
from core.evaluation import metrics
from core.evaluation.figure import Figure
from core.experiments.referee.label_error import bound_auroc


def area(labels: np.ndarray, scores: np.ndarray) -> float:
    return float(metrics.auroc(labels.astype(bool), scores, np.ones((1, len(scores))))[0])


def observed(labels: np.ndarray, scores: np.ndarray) -> Figure:
    value = area(labels, scores)
    return Figure(value=value, low=value - 0.05, high=value + 0.05, n=len(labels))


def test_errors_at_random_are_undone() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(200_000) < 0.4
    scores = generator.normal(truth * 1.0)
    seen = np.where(truth, generator.random(len(truth)) < 0.9, generator.random(len(truth)) < 0.15)
    found = bound_auroc(seen, scores, observed(seen, scores), 0.9, 0.85)
    assert found.prevalence == pytest.approx(0.4, abs=0.01)
    assert found.at_random.value == pytest.approx(area(truth, scores), abs=0.005)
    assert found.lowest < area(truth, scores) < found.highest


def test_no_other_choice_of_wrong_labels_goes_further() -> None:
    generator = np.random.default_rng(1)
    seen = np.arange(60) < 30
    scores = generator.normal(seen * 1.0)
    found = bound_auroc(seen, scores, observed(seen, scores), 0.9, 0.9)
    assert found.wrong == (3, 3)
    areas = []
    for _ in range(500):
        truth = seen.copy()
        for side in (seen, ~seen):
            wrong = generator.choice(np.flatnonzero(side), 3, replace=False)
            truth[wrong] = ~truth[wrong]
        areas.append(area(truth, scores))
    assert found.lowest <= min(areas) < max(areas) <= found.highest


def test_perfect_labels_change_nothing() -> None:
    seen, scores = np.arange(10) % 2 == 1, np.arange(10.0)
    found = bound_auroc(seen, scores, observed(seen, scores), 1, 1)
    assert found.lowest == found.highest == pytest.approx(area(seen, scores))


@pytest.mark.parametrize(("sensitivity", "specificity", "words"), [(0.4, 0.9, "above 0.5"), (0.99, 0.6, "cannot come")])
def test_rates_that_cannot_be_are_refused(sensitivity: float, specificity: float, words: str) -> None:
    seen = np.arange(40) < 4
    with pytest.raises(EvaluationError, match=words):
        bound_auroc(seen, np.arange(40.0), observed(seen, np.arange(40.0)), sensitivity, specificity)
