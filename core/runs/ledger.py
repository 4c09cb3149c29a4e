"""How often test patients have been looked at: a ledger by the digest of the test patients, across all runs.

Each look at them lets a person choose, so a figure on patients that were looked at often is worth less. A
cross-validation looks at each of its folds once, and with them at every patient of the cohort: each of its partitions
counts as one look at any other test patients of the same cohort, from its first fold on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from core.files import append_line
from core.runs.folder import now
from core.runs.lock import hold_lock
from core.settings import Settings


def count_evaluations(digest: str, settings: Settings, cohort_digest: str = "") -> int:
    """Return how often the patients of that digest have been looked at; does not look. See :func:`list_looks`."""
    return len(list_evaluations(digest, settings, cohort_digest))


def list_evaluations(digest: str, settings: Settings, cohort_digest: str = "") -> list[dict[str, str]]:
    """Return each look at the patients of that digest, the first one first: ``run`` and ``when`` (ISO 8601, UTC).

    Parameters
    ----------
    digest
        Of the test patients (``Split.test_digest``).
    settings
        Where the ledger lies.
    cohort_digest
        Of the cohort they belong to; with it, partitions of the whole cohort count too, each once.
    """
    try:
        lines = (settings.runs / "test_looks.jsonl").read_text(errors="replace").splitlines()
    except OSError:
        return []
    entries = [_entry(line) for line in lines]
    own = {entry.get("partition") for entry in entries if entry.get("test_digest") == digest} - {None, ""}
    found, counted = [], set()
    for entry in entries:
        partition, run = str(entry.get("partition", "")), str(entry.get("run", ""))
        if entry.get("test_digest") != digest:
            whole = partition and cohort_digest and entry.get("cohort_digest") == cohort_digest
            if not whole or partition in own or partition in counted:
                continue
            counted.add(partition)
            run = partition
        found.append({"run": run, "when": str(entry.get("when", ""))})
    return found


def record_evaluation(
    digest: str, run_name: str, settings: Settings, *, cohort_digest: str = "", partition: str = ""
) -> int:
    """Write one look down and return how many there are now, this one included.

    Parameters
    ----------
    digest, run_name, settings
        Of whom, by whom, where the ledger lies.
    cohort_digest
        The cohort they belong to.
    partition
        Where they are one fold of a cross-validation: its name, the same for all folds of one partition.

    Raises
    ------
    RunBusyError
        Others write at the same time and do not come to an end.
    StorageError
        It cannot be written: then nobody gets to see the figures either.
    """
    ledger = settings.runs / "test_looks.jsonl"
    settings.runs.mkdir(parents=True, exist_ok=True)
    entry = {"test_digest": digest, "run": run_name, "when": now()}
    if partition:
        entry |= {"cohort_digest": cohort_digest, "partition": partition}
    with hold_lock(settings.runs / ".test_looks.lock", "The ledger of test looks is busy; try again.", 30):
        append_line(ledger, json.dumps(entry))
        return count_evaluations(digest, settings, cohort_digest)


def merge_evaluations(digest: str, looks: Iterable[Mapping[str, str]], settings: Settings) -> int:
    """Write down looks that were made elsewhere, those that are not known yet; return how many there are now.

    Raises
    ------
    RunBusyError
        Others write at the same time and do not come to an end.
    StorageError
        It cannot be written.
    """
    settings.runs.mkdir(parents=True, exist_ok=True)
    with hold_lock(settings.runs / ".test_looks.lock", "The ledger of test looks is busy; try again.", 30):
        known = {(look["run"], look["when"]) for look in list_evaluations(digest, settings)}
        for look in looks:
            if (look["run"], look["when"]) not in known:
                entry = {"test_digest": digest, "run": look["run"], "when": look["when"]}
                append_line(settings.runs / "test_looks.jsonl", json.dumps(entry))
                known.add((look["run"], look["when"]))
        return count_evaluations(digest, settings)


def _entry(line: str) -> dict[str, object]:
    try:
        content = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
