from concurrent.futures import ThreadPoolExecutor

from core.settings import Settings
from core.training.looks import count_looks, record_look


def test_looks_are_counted_by_digest_across_runs(settings: Settings) -> None:
    assert count_looks("aaa", settings) == 0
    assert not settings.runs.exists()
    assert record_look("aaa", "one", settings) == 1
    assert record_look("aaa", "two", settings) == 2
    assert record_look("bbb", "two", settings) == 1
    assert count_looks("aaa", settings) == 2


def test_looks_at_the_same_time_are_all_counted(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda number: record_look("aaa", str(number), settings), range(40)))
    assert sorted(counts) == list(range(1, 41))


def test_a_damaged_line_is_borne(settings: Settings) -> None:
    record_look("aaa", "one", settings)
    ledger = settings.runs / "test_looks.jsonl"
    ledger.write_text(ledger.read_text() + "[]\n{torn\n")
    assert record_look("aaa", "one", settings) == 2
