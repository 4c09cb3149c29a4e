"""Figures of a cross-validation: means within folds, intervals over patients, and nothing pooled."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from core.errors import EvaluationError
from core.evaluation.folds import (
    FoldPredictions,
    FoldScores,
    SharedTraining,
    evaluate_fold,
    evaluate_folds,
    mean_auroc_interval,
    sharing_factor,
)
from core.evaluation.intervals import auroc_influence, auroc_interval

NAMES = ("unmethylated", "methylated")


def answers(
    fold: int, seed: int = 0, offset: float = 0.0, scale: float = 1.0, n: int = 30, classes: int = 2
) -> FoldPredictions:
    generator = np.random.default_rng([fold, n])
    labels = np.arange(n) % classes
    odds = scale * (generator.normal(size=n) + 1.2 * (labels == 1)) + offset
    logits = np.stack([np.zeros(n), odds, *([np.zeros(n)] * (classes - 2))], axis=1)
    return FoldPredictions(
        seed=seed, fold=fold, patients=np.array([f"{fold}-{index:03d}" for index in range(n)]), labels=labels,
        logits=logits, threshold=float(expit(offset + 0.6 * scale)), temperature=1.0,
    )  # fmt: skip


def test_the_mean_is_within_folds_and_an_offset_of_a_network_changes_nothing() -> None:
    plain = [answers(fold) for fold in range(1, 5)]
    moved = [answers(fold, offset=5.0 * fold, scale=1.0 + fold) for fold in range(1, 5)]
    first, second = evaluate_folds(plain, NAMES, 1), evaluate_folds(moved, NAMES, 1)
    own = [evaluate_fold(one, NAMES, 1)["auroc"].value for one in plain]
    assert first["auroc"].value == pytest.approx(np.mean(own))
    for name in ("auroc", "accuracy", "balanced_accuracy"):
        assert second[name].to_dict() == pytest.approx(first[name].to_dict())
    assert first["auroc"].n == 120
    pooled_scores = np.concatenate([one.logits[:, 1] for one in moved])
    pooled_labels = np.concatenate([one.labels for one in moved]) == 1
    assert auroc_interval(pooled_labels, pooled_scores)[0] < first["auroc"].value - 0.05


def scores_of(folds: list[FoldPredictions]) -> list[FoldScores]:
    return [(one.labels == 1, one.logits[:, 1], one.patients) for one in folds]


def test_the_variance_is_the_mean_of_delongs_with_the_factor_for_shared_patients() -> None:
    folds = [answers(fold, n=200) for fold in range(1, 5)]
    parts = scores_of(folds)
    value, low, high = mean_auroc_interval(parts)
    errors, moved = [], []
    for positive, scores, _ in parts:
        own, bottom, top = auroc_interval(positive, scores)
        errors.append((logit(top) - logit(bottom)) / 2 / 1.959964 * own * (1 - own))
        moved.append(auroc_influence(positive, scores))
    factor = SharedTraining(parts).factor(np.concatenate(moved))
    expected = np.sqrt(np.sum(np.square(errors))) / 4 * np.sqrt(factor)
    found = (logit(high) - logit(low)) / 2 * value * (1 - value) / 1.963  # Student's t with 792 degrees of freedom
    assert found == pytest.approx(expected, rel=0.002)
    assert sharing_factor(5) == pytest.approx(2.25)


def test_what_saturates_hangs_less_on_shared_patients() -> None:
    """Nothing to learn: nearly all of a placement's variance is linear in the score; next to 1 it is not."""
    generator = np.random.default_rng(0)
    positive = np.arange(2000) % 2 == 1
    for shift, low, high in ((0.0, 2.15, 2.22), (2.9, 1.3, 1.6)):
        scores = generator.normal(size=2000) + shift * positive
        parts = [(positive[at::5], scores[at::5], np.arange(2000)[at::5]) for at in range(5)]
        moved = np.concatenate([auroc_influence(*part[:2]) for part in parts])
        assert low < SharedTraining(parts).factor(moved) < high


def test_repeats_that_agree_show_that_the_networks_know_much() -> None:
    """Two networks rank a patient alike but for a known part of chance; its share comes out, and narrows the interval."""
    generator = np.random.default_rng(1)
    positive = np.arange(600) % 2 == 1
    known = generator.normal(size=600) + 1.2 * positive
    for nu in (0.2, 0.6):
        parts: list[FoldScores] = []
        for _ in range(3):
            fold = generator.permutation(np.arange(600) // 2 % 5)
            own = np.sqrt(nu / 5) * generator.normal(size=600) + np.sqrt(1 - nu / 5) * known
            parts += [(positive[fold == k], own[fold == k], np.flatnonzero(fold == k)) for k in range(5)]
        shared = SharedTraining(parts)
        _, low, high = mean_auroc_interval(parts, shared=shared)
        assert shared.noise_share == pytest.approx(nu, abs=0.12)
        _, wide_low, wide_high = mean_auroc_interval(parts[:5])
        assert high - low < wide_high - wide_low


def test_networks_that_agree_are_not_trusted_where_nothing_is_shown() -> None:
    """By luck networks of few features agree just when their figure is high by luck."""
    generator = np.random.default_rng(2)
    positive = np.arange(100) % 2 == 1
    scores = generator.normal(size=100)
    parts = [(positive[at::5], scores[at::5], np.arange(100)[at::5]) for _ in range(2) for at in range(5)]
    shared = SharedTraining(parts)
    _, low, high = mean_auroc_interval(parts, shared=shared)
    assert low < 0.5 < high
    assert shared.noise_share is None
    assert shared.measure_noise_share() == 0


def test_repeats_on_the_same_patients_are_not_more_patients() -> None:
    once = [answers(fold) for fold in range(1, 4)]
    thrice = [answers(fold, seed=seed) for seed in range(3) for fold in range(1, 4)]
    first, second = evaluate_folds(once, NAMES, 1), evaluate_folds(thrice, NAMES, 1)
    assert second["auroc"].value == pytest.approx(first["auroc"].value)
    for name in ("auroc", "accuracy", "brier"):
        assert second[name].n == first[name].n == 90
        # Networks that agree to the last digit leave nothing to chance: half of the variance at most.
        assert second[name].high - second[name].low > 0.6 * (first[name].high - first[name].low)  # type: ignore[operator]


def test_perfect_folds_of_few_patients_claim_no_certainty() -> None:
    parts = []
    for fold in range(3):
        positive = np.arange(8) % 2 == 1
        parts.append((positive, positive * 1.0, np.array([f"{fold}-{index}" for index in range(8)])))
    value, low, high = mean_auroc_interval(parts)
    assert (value, high) == (1.0, 1.0)
    assert 0.6 < low < 0.9


def test_a_fold_with_one_patient_of_a_class_has_no_interval_and_says_why() -> None:
    lone = answers(1, n=9)
    lone = FoldPredictions(
        seed=0, fold=1, patients=lone.patients, labels=(np.arange(9) == 0).astype(np.int64), logits=lone.logits,
        threshold=0.5, temperature=1.0,
    )  # fmt: skip
    found = evaluate_folds([lone, answers(2)], NAMES, 1)["auroc"]
    assert found.value is not None
    assert found.low is None
    assert "fewer folds" in found.reason
    with pytest.raises(EvaluationError, match="two of each in every fold"):
        mean_auroc_interval([(lone.labels == 1, lone.logits[:, 1], lone.patients)])


def test_three_classes_have_a_mean_and_no_interval() -> None:
    found = evaluate_folds([answers(fold, classes=3) for fold in (1, 2)], ("a", "b", "c"), 1)
    assert 0 < found["auroc"].value < 1  # type: ignore[operator]
    assert found["auroc"].low is None
    assert found["brier"].value is None


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_the_interval_holds_also_where_there_is_nothing_to_learn(effect: float) -> None:
    """Networks trained on the other folds; the truth is known from their weights. Without the factor 4 of 5 hold."""
    generator = np.random.default_rng(3)
    positive = np.arange(60) % 2 == 1
    names = np.array([f"{index:02d}" for index in range(60)])
    held_times, draws = 0, 150
    for _ in range(draws):
        features = generator.standard_normal((60, 20)) + np.outer(positive - 0.5, np.full(20, effect / np.sqrt(20)))
        parts, truth = [], []
        for fold in range(5):
            held = np.arange(60) // 2 % 5 == fold
            weights = features[~held & positive].mean(axis=0) - features[~held & ~positive].mean(axis=0)
            parts.append((positive[held], features[held] @ weights, names[held]))
            gain = weights @ np.full(20, effect / np.sqrt(20)) / np.sqrt(2) / np.linalg.norm(weights)
            truth.append(_normal(gain))
        _, low, high = mean_auroc_interval(parts)
        held_times += low <= np.mean(truth) <= high
    assert held_times >= 0.93 * draws


def _normal(value: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(value))
