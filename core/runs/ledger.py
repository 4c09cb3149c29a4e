"""The ledger of test-set evaluations: how often test patients have been evaluated, across all runs.

Each evaluation lets a person choose by its result, so a figure on patients that were evaluated often is worth less. A
cross-validation evaluates each of its folds once, and with them every patient of the cohort: each of its partitions
counts as one evaluation of any other test patients of the same cohort, from its first fold on. An evaluation of another
cohort also counts for every other one that shares a person with it, be that a copy of it under another name: such entries
keep digests of their persons' UIDs and pixels.

The file is ``test_looks.jsonl`` in the folder of the runs; test patients are known by their digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from core.files import append_line
from core.runs.folder import now
from core.runs.lock import hold_lock
from core.settings import Settings


def count_evaluations(digest: str, settings: Settings, cohort_digest: str = "") -> int:
    """Return how often the patients of a digest have been evaluated; see :func:`list_evaluations`."""
    return len(list_evaluations(digest, settings, cohort_digest))


def list_evaluations(
    digest: str, settings: Settings, cohort_digest: str = "", *, persons: Iterable[str] = ()
) -> list[dict[str, str]]:
    """Return each evaluation of the patients of a digest, oldest first: ``run`` and ``when`` (ISO 8601, UTC).

    Parameters
    ----------
    digest
        Of the test patients (``Split.test_digest``).
    settings
        Where the ledger lies.
    cohort_digest
        Of the cohort they belong to; with it, partitions of the whole cohort count too, each once.
    persons
        Digests of their marks; with them, evaluations of any of these persons in another cohort count too.
    """
    try:
        lines = (settings.runs / "test_looks.jsonl").read_text(errors="replace").splitlines()
    except OSError:
        return []
    entries = [_entry(line) for line in lines]
    own = {entry.get("partition") for entry in entries if entry.get("test_digest") == digest} - {None, ""}
    sought = set(persons)
    found, counted = [], set()
    for entry in entries:
        partition, run = str(entry.get("partition", "")), str(entry.get("run", ""))
        if entry.get("test_digest") != digest and sought.isdisjoint(_persons(entry)):
            whole = partition and cohort_digest and entry.get("cohort_digest") == cohort_digest
            if not whole or partition in own or partition in counted:
                continue
            counted.add(partition)
            run = partition
        found.append({"run": run, "when": str(entry.get("when", ""))})
    return found


def record_evaluation(
    digest: str,
    run_name: str,
    settings: Settings,
    *,
    cohort_digest: str = "",
    partition: str = "",
    persons: Iterable[str] = (),
) -> int:
    """Record one evaluation and return how many there are now, this one included.

    Parameters
    ----------
    digest, run_name, settings
        Of which patients, by which run, where the ledger lies.
    cohort_digest
        The cohort they belong to.
    partition
        Where they are one fold of a cross-validation: its name, the same for all folds of one partition.
    persons
        Digests of the marks of another cohort's persons.

    Raises
    ------
    RunBusyError
        Others write at the same time and do not come to an end.
    StorageError
        It cannot be written; then the figures are not shown either.
    """
    ledger = settings.runs / "test_looks.jsonl"
    settings.runs.mkdir(parents=True, exist_ok=True)
    entry: dict[str, object] = {"test_digest": digest, "run": run_name, "when": now()}
    marks = sorted(set(persons))
    if marks:
        entry["persons"] = marks
    if partition:
        entry |= {"cohort_digest": cohort_digest, "partition": partition}
    with hold_lock(settings.runs / ".test_looks.lock", "The ledger of test-set evaluations is busy; try again.", 30):
        append_line(ledger, json.dumps(entry))
        return len(list_evaluations(digest, settings, cohort_digest, persons=marks))


def merge_evaluations(digest: str, evaluations: Iterable[Mapping[str, str]], settings: Settings) -> int:
    """Record evaluations that were made elsewhere and are not known yet; return how many there are now.

    Raises
    ------
    RunBusyError
        Others write at the same time and do not come to an end.
    StorageError
        It cannot be written.
    """
    settings.runs.mkdir(parents=True, exist_ok=True)
    with hold_lock(settings.runs / ".test_looks.lock", "The ledger of test-set evaluations is busy; try again.", 30):
        known = {(one["run"], one["when"]) for one in list_evaluations(digest, settings)}
        for one in evaluations:
            if (one["run"], one["when"]) not in known:
                entry = {"test_digest": digest, "run": one["run"], "when": one["when"]}
                append_line(settings.runs / "test_looks.jsonl", json.dumps(entry))
                known.add((one["run"], one["when"]))
        return count_evaluations(digest, settings)


def _persons(entry: Mapping[str, object]) -> list[object]:
    persons = entry.get("persons")
    return persons if isinstance(persons, list) else []


def _entry(line: str) -> dict[str, object]:
    try:
        content = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
