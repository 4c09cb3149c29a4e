import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from core.errors import EvaluationError
from core.evaluation.aggregate import AGGREGATIONS, group_labels, log_odds, to_groups

LOGITS = np.array([[0.0, 3.0], [0.0, 1.0], [2.0, 0.0], [0.0, -1.0], [0.0, 5.0]])
GROUPS = ["b", "b", "b", "a", "b"]


def test_mean_logit_is_the_mean_per_group_in_sorted_order() -> None:
    names, logits = to_groups(LOGITS, GROUPS)
    assert names.tolist() == ["a", "b"]
    np.testing.assert_allclose(logits, [[0, -1], [0.5, 2.25]])


def test_max_takes_the_row_that_speaks_most_for_the_positive_class() -> None:
    assert to_groups(LOGITS, GROUPS, "max")[1].tolist() == [[0, -1], [0, 5]]
    assert to_groups(LOGITS, GROUPS, "max", positive_class=0)[1].tolist() == [[0, -1], [2, 0]]


def test_top_k_averages_the_strongest_rows_and_all_where_there_are_fewer() -> None:
    np.testing.assert_allclose(to_groups(LOGITS, GROUPS, "top_k", k=2)[1], [[0, -1], [0, 4]])
    np.testing.assert_allclose(to_groups(LOGITS, GROUPS, "top_k", k=9)[1], to_groups(LOGITS, GROUPS)[1])


def test_vote_gives_the_share_of_votes_with_half_a_vote_for_each_class() -> None:
    share = softmax(to_groups(LOGITS, GROUPS, "vote")[1], axis=1)
    np.testing.assert_allclose(share, [[1.5 / 2, 0.5 / 2], [1.5 / 5, 3.5 / 5]])


@given(st.permutations(range(len(LOGITS))), st.sampled_from(AGGREGATIONS))
def test_the_order_of_slices_does_not_matter(order: list[int], method: str) -> None:
    shuffled = to_groups(LOGITS[order], np.array(GROUPS)[order], method)  # type: ignore[arg-type]
    np.testing.assert_allclose(shuffled[1], to_groups(LOGITS, GROUPS, method)[1])  # type: ignore[arg-type]


def test_log_odds_agree_with_the_softmax_of_three_classes() -> None:
    logits = np.array([[0.3, -1.0, 2.0], [4.0, 0.0, 0.0]])
    p = softmax(logits, axis=1)[:, 2]
    np.testing.assert_allclose(log_odds(logits, 2), np.log(p / (1 - p)))


def test_group_labels_refuse_a_patient_with_two_labels() -> None:
    assert group_labels([1, 1, 0], ["x", "x", "a"]).tolist() == [0, 1]
    with pytest.raises(EvaluationError, match="x has slices of different labels"):
        group_labels([1, 0, 0], ["x", "x", "a"])


def test_shapes_and_methods_that_do_not_exist_are_refused() -> None:
    with pytest.raises(EvaluationError, match="do not fit"):
        to_groups(LOGITS, GROUPS[:2])
    with pytest.raises(EvaluationError, match="median"):
        to_groups(LOGITS, GROUPS, "median")  # type: ignore[arg-type]
