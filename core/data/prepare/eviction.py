"""A demo's cache has a size: what was used longest ago goes first."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from core.settings import Settings

FOLDERS = ("prepared", "synthetic", "raw", "counterfactual")
"""Of the cache, those whose entries can be made again one by one."""


def evict(settings: Settings, in_use: Collection[Path] = ()) -> list[Path]:
    """Remove entries of the cache, the longest unused first, until it holds what a demo grants; return which.

    Parameters
    ----------
    settings
        The limit is ``hosted_cache_bytes``; nothing is removed outside hosted mode.
    in_use
        Cohorts that runs wait for or train on: they stay.
    """
    if not settings.hosted:
        return []
    kept = {path.resolve() for path in in_use}
    entries = []
    for name in FOLDERS:
        for entry in (settings.cache / name).glob("*"):
            with suppress(OSError):  # another process removed it
                size = sum(path.stat().st_size for path in entry.rglob("*") if path.is_file())
                entries.append((entry.stat().st_mtime, size, entry))
    total = sum(size for _, size, _ in entries)
    removed = []
    for _, size, entry in sorted(entries):
        if total <= settings.hosted_cache_bytes:
            break
        if entry.resolve() not in kept:
            shutil.rmtree(entry, ignore_errors=True)
            total -= size
            removed.append(entry)
    return removed
