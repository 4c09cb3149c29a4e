from concurrent.futures import ThreadPoolExecutor

from core.runs.ledger import (
    check_ledger,
    count_evaluations,
    evaluated_marks,
    list_evaluations,
    number_look,
    record_evaluation,
)
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


def test_a_write_that_was_cut_off_breaks_no_chain_and_what_was_changed_does(settings: Settings) -> None:
    record_evaluation("aaa", "one", settings)
    ledger = settings.runs / "test_looks.jsonl"
    ledger.write_text(ledger.read_text() + '{"test_digest": "aa')
    assert check_ledger(settings).fault == ""
    assert record_evaluation("aaa", "two", settings) == 2
    assert check_ledger(settings).fault == ""
    ledger.write_text(ledger.read_text().replace('"aa\n', '"bb\n'))
    assert "broken at line 3" in check_ledger(settings).fault


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


def test_other_test_patients_who_share_a_person_were_evaluated_with_him(settings: Settings) -> None:
    record_evaluation("seed 0", "one", settings, persons=["p1", "p2"])
    assert record_evaluation("seed 1", "two", settings, persons=["p2", "p3"]) == 2
    assert count_evaluations("seed 2", settings, persons=["p4"]) == 0
    assert evaluated_marks(settings, without=("two", "seed 1")) == {"seed 0", "p1", "p2"}


def test_folds_of_one_partition_are_one_evaluation_of_who_is_in_them(settings: Settings) -> None:
    for fold in ("f1", "f2"):
        record_evaluation(fold, fold, settings, cohort_digest="c", partition="cv", persons=[f"p of {fold}"])
    assert count_evaluations("held-out", settings, persons=["p of f1", "p of f2"]) == 1


def test_the_same_model_on_the_same_patients_is_one_look(settings: Settings) -> None:
    for model in ("m1", "m1", "m2", "m1"):
        record_evaluation("aaa", "run", settings, model=model)
    assert [number_look("aaa", settings, model=model) for model in ("m1", "m2", "m3")] == [1, 2, 3]


def test_a_line_that_was_changed_removed_or_added_breaks_the_chain_and_is_named(settings: Settings) -> None:
    ledger = settings.runs / "test_looks.jsonl"
    settings.runs.mkdir(parents=True)
    ledger.write_text('{"test_digest": "aaa", "run": "old", "when": ""}\n')  # as an older version wrote it
    for number in range(3):
        record_evaluation("aaa", f"run {number}", settings)
    assert (check_ledger(settings).entries, check_ledger(settings).fault) == (4, "")
    lines = ledger.read_text().splitlines()
    for altered, line in (
        ([lines[0].replace("old", "new"), *lines[1:]], 2),
        ([*lines[:2], *lines[3:]], 3),
        ([*lines[:3], lines[3].replace("run 2", "run 9"), '{"test_digest": "bbb"}'], 5),
    ):
        ledger.write_text("\n".join(altered) + "\n")
        assert f"broken at line {line}" in check_ledger(settings).fault
