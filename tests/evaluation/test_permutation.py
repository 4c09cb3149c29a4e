"""p values of permutation tests, and of several tests together."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.permutation import adjust_holm, exchange_within, permutation_p


def test_p_counts_the_observed_order_too() -> None:
    assert permutation_p(0.9, np.array([0.1, 0.95, 0.9])) == 3 / 4


def test_holm_gives_the_published_steps() -> None:
    adjusted = adjust_holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert adjust_holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_labels_are_exchanged_within_sites_and_what_cannot_be_is_said() -> None:
    sites = ["a"] * 30 + ["b"] * 30 + ["c"] * 5
    labels = np.array([1] * 21 + [0] * 9 + [1] * 9 + [0] * 21 + [1] * 5)
    found = exchange_within(sites, labels)
    assert found.sentence == "within 2 sites; 5 of 65 patients are not exchanged, for their sites hold one class only"
    shuffled = found.shuffle_many(labels, 200, np.random.default_rng(0))
    assert (shuffled[:, :30].sum(axis=1) == 21).all()
    assert (shuffled[:, 30:60].sum(axis=1) == 9).all()
    assert (shuffled != labels).any(axis=0)[:60].all()


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        (["", "", "", ""], "not known"),
        (["a", "a", "a", "a"], "one only"),
        (["a", "a", "b", "b"], "cannot be told apart"),
        (["a", "b", "a", "b"], "within 2 sites; there are 4 arrangements only, so that p cannot be below 0.250"),
    ],
)
def test_where_sites_cannot_restrict_it_is_said(sites: list[str], said: str) -> None:
    found = exchange_within(sites, np.array([1, 1, 0, 0]))
    assert said in found.sentence
    assert found.restricted == found.sentence.startswith("within")
