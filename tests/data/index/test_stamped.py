"""Small documents on disk: found under their stamp only, whole or not at all, and never too many."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from core.data.index import stamped
from core.data.index.folder_stamp import digest_of
from core.data.index.stamped import StampedCache


def test_a_document_is_found_under_its_key_and_stamp_only(tmp_path: Path) -> None:
    cache = StampedCache(folder=tmp_path / "cache")
    assert cache.find(("a", 1), "now") is None
    cache.keep(("a", 1), "now", {"x": [1, None, "ä"]})
    assert cache.find(("a", 1), "now") == {"x": [1, None, "ä"]}
    assert cache.find(("a", 1), "later") is None
    assert cache.find(("a", 2), "now") is None
    cache.keep(("a", 1), "later", 7)
    assert cache.find(("a", 1), "later") == 7
    assert len(list(cache.folder.iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"7", b'{"stamp": "now"}', b"\xff\xfe"])
def test_a_damaged_entry_is_none(tmp_path: Path, damage: bytes) -> None:
    cache = StampedCache(folder=tmp_path)
    cache.keep(("a",), "now", 1)
    [entry] = tmp_path.iterdir()
    entry.write_bytes(damage)
    assert cache.find(("a",), "now") is None


def test_a_full_disk_is_borne(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    cache = StampedCache(folder=tmp_path)
    cache.keep(("a",), "now", 1)
    assert cache.find(("a",), "now") is None
    assert not list(tmp_path.iterdir())


def test_the_oldest_are_removed_where_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamped, "MOST_ENTRIES", 3)
    cache = StampedCache(folder=tmp_path)
    cache.prune()
    for number in range(5):
        before = set(tmp_path.iterdir())
        cache.keep((number,), "now", number)
        [entry] = set(tmp_path.iterdir()) - before
        os.utime(entry, (number, number))
    cache.prune()
    assert [cache.find((number,), "now") for number in range(5)] == [None, None, 2, 3, 4]


def test_digests_bear_any_file_name() -> None:
    strange = os.fsdecode(b"\xff\xfe.dcm")
    assert digest_of([strange, Path("a"), 3]) == digest_of([strange, "a", "3"])
    assert digest_of(["a", "b"]) != digest_of(["b", "a"])
