"""A demo's cache keeps what was used last, and what runs need."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from core.data.prepare.eviction import evict
from core.settings import Settings


def make(settings: Settings, name: str, age: float) -> Path:
    folder = settings.cache / name
    folder.mkdir(parents=True)
    (folder / "pixels.npy").write_bytes(b"0" * 1000)
    os.utime(folder, (1e9 - age, 1e9 - age))
    return folder


def test_what_was_used_longest_ago_goes_first_and_what_runs_need_stays(settings: Settings) -> None:
    hosted = replace(settings, mode="hosted", hosted_cache_bytes=2500)
    needed, old, newer, newest = (
        make(hosted, name, age)
        for name, age in (("synthetic/a", 9), ("prepared/b", 8), ("synthetic/c", 7), ("prepared/d", 1))
    )
    sample = make(hosted, "sample/e", 99)
    assert evict(replace(hosted, mode="local")) == []
    assert evict(hosted, [needed]) == [old, newer]
    assert needed.exists()
    assert newest.exists()
    assert sample.exists()
    assert evict(hosted, [needed]) == []
