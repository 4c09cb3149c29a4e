"""The tables are plain data that a program in another language reads as well."""

import re
from collections.abc import Iterator
from typing import Any

from core.data.sequences.rules import TIMINGS
from core.data.sequences.tables import TABLES

WORDS = (
    "weightings", "other_kinds", "label_files", "gradient_echoes", "reformats", "agents", "after", "perhaps_after", "before",
    "negations", "with", "not_of_contrast", "both", "leading", "modifiers",
)  # fmt: skip


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


def test_words_are_as_names_are_split_into() -> None:
    for table in WORDS:
        for word in texts(TABLES[table]):
            assert re.fullmatch(r"[a-z0-9*+]+( [a-z0-9*+]+)*", word), (table, word)


def test_no_word_stands_twice_in_a_table() -> None:
    for table in WORDS:
        words = list(texts(TABLES[table]))
        assert len(words) == len(set(words)), (table, [word for word in words if words.count(word) > 1])


def test_patterns_are_the_same_in_other_languages() -> None:
    for pattern, _ in (*TABLES["rewrites"], *TABLES["sequence_names"]):
        assert re.compile(pattern)
        assert not re.search(r"\(\?[<P]|\\[AZ]|\(\?\w", pattern), pattern


def test_ranges_run_upwards() -> None:
    for rule in TIMINGS:
        for low, high in (rule.tr_ms, rule.te_ms, rule.ti_ms):
            assert 0 <= low <= high, rule


def test_what_the_timing_tells_is_known_by_that_name() -> None:
    known = {*TABLES["weightings"], *TABLES["other_kinds"]}
    assert {rule.kind for rule in TIMINGS} <= known
    assert {kind for pair in TABLES["overruled"] for kind in pair} <= known
    assert set(TABLES["echo_planar_kinds"]) <= known
