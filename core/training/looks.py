"""How often test patients have been looked at: a ledger by the digest of the test patients, across all runs.

Each look at them lets a person choose, so a figure on patients that were looked at often is worth less.
"""

from __future__ import annotations

import json

from core.files import append_line
from core.settings import Settings
from core.training.lock import hold_lock
from core.training.run import now

__all__ = ["count_looks", "record_look"]


def count_looks(digest: str, settings: Settings) -> int:
    """Return how often the patients of that digest have been looked at; does not look."""
    try:
        lines = (settings.runs / "test_looks.jsonl").read_text(errors="replace").splitlines()
    except OSError:
        return 0
    return sum(_digest(line) == digest for line in lines)


def record_look(digest: str, run_name: str, settings: Settings) -> int:
    """Write one look down and return how many there are now, this one included.

    Raises
    ------
    RunBusyError
        Others write at the same time and do not come to an end.
    StorageError
        It cannot be written: then nobody gets to see the figures either.
    """
    ledger = settings.runs / "test_looks.jsonl"
    settings.runs.mkdir(parents=True, exist_ok=True)
    with hold_lock(settings.runs / ".test_looks.lock", "The ledger of test looks is busy; try again.", 30):
        append_line(ledger, json.dumps({"test_digest": digest, "run": run_name, "when": now()}))
        return count_looks(digest, settings)


def _digest(line: str) -> str | None:
    try:
        content = json.loads(line)
    except json.JSONDecodeError:
        return None
    return content.get("test_digest") if isinstance(content, dict) else None
