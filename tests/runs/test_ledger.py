from concurrent.futures import ThreadPoolExecutor

from core.runs.ledger import count_evaluations, list_evaluations, record_evaluation
from core.settings import Settings


def test_looks_are_counted_by_digest_across_runs(settings: Settings) -> None:
    assert count_evaluations("aaa", settings) == 0
    assert not settings.runs.exists()
    assert record_evaluation("aaa", "one", settings) == 1
    assert record_evaluation("aaa", "two", settings) == 2
    assert record_evaluation("bbb", "two", settings) == 1
    assert count_evaluations("aaa", settings) == 2


def test_looks_at_the_same_time_are_all_counted(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda number: record_evaluation("aaa", str(number), settings), range(40)))
    assert sorted(counts) == list(range(1, 41))


def test_a_damaged_line_is_borne(settings: Settings) -> None:
    record_evaluation("aaa", "one", settings)
    ledger = settings.runs / "test_looks.jsonl"
    ledger.write_text(ledger.read_text() + "[]\n{torn\n")
    assert record_evaluation("aaa", "one", settings) == 2


def test_a_partition_is_one_look_at_its_fold_and_one_at_other_test_patients_of_the_cohort(settings: Settings) -> None:
    for fold in ("f1", "f2", "f3"):
        record_evaluation(fold, fold, settings, cohort_digest="c", partition="cv, seed 0")
    assert [count_evaluations(fold, settings, "c") for fold in ("f1", "f2", "f3")] == [1, 1, 1]
    assert count_evaluations("held-out", settings, "c") == 1
    assert [look["run"] for look in list_evaluations("held-out", settings, "c")] == ["cv, seed 0"]
    assert count_evaluations("held-out", settings, "another cohort") == 0
    assert count_evaluations("held-out", settings) == 0
    # A second partition judges everybody once more, also whom the first one had in another fold.
    assert record_evaluation("g1", "g1", settings, cohort_digest="c", partition="cv, seed 1") == 2
    assert count_evaluations("f1", settings, "c") == 2
    assert record_evaluation("held-out", "run", settings, cohort_digest="c") == 3
