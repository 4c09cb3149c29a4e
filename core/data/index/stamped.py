"""Small facts about files, kept on disk and believed only while the files are what they were."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.index.folder_stamp import digest_of
from core.errors import StorageError, may_pass
from core.files import read_document, write_atomic

MOST_ENTRIES = 20_000
"""Above so many entries the oldest are removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedCache:
    """JSON documents in a folder, one file each.

    A document is found by a key, which says what it is about, and counts only under the stamp it was kept with,
    which says what state that was in. It can be deleted at any time; a damaged one is none.
    """

    folder: Path

    def find(self, key: Iterable[object], stamp: str) -> Any:
        """Return the document of a key; None where there is none, or it was made from another state."""
        try:
            content = read_document(self._entry(key))
            return content["document"] if content["stamp"] == stamp else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, key: Iterable[object], stamp: str, document: Any) -> None:
        """Keep a document in the place of an older one of the same key.

        The stamp must have been taken before the files were read. A full disk or a folder that cannot be written
        is no reason not to go on: then nothing is kept, nor is what may be otherwise the next time.
        """
        content = json.dumps({"stamp": stamp, "document": document})
        if may_pass(content):
            return
        with suppress(StorageError):
            write_atomic(self._entry(key), content, durable=False)

    def prune(self) -> None:
        """Remove the oldest entries where there are too many."""
        try:
            with os.scandir(self.folder) as found:
                entries = [(entry.stat().st_mtime_ns, entry.path) for entry in found]
        except OSError:  # none yet, or another process is pruning
            return
        for _, path in sorted(entries)[: max(0, len(entries) - MOST_ENTRIES)]:
            Path(path).unlink(missing_ok=True)

    def _entry(self, key: Iterable[object]) -> Path:
        return self.folder / f"{digest_of(key)}.json"
