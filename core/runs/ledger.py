"""The ledger of test-set evaluations: how often test patients have been evaluated, across all runs.

Each evaluation lets a person choose by its result, so a figure on patients that were evaluated often is worth less
(:func:`core.evaluation.intervals.look_confidence` says how much). Persons are counted, not sets of them: an evaluation
concerns all later ones that share a person with it, be the split another one or the cohort a copy under another name;
entries keep digests of their persons' ids, UIDs and pixels. A cross-validation evaluates each of its folds once, and with
them every patient of the cohort: each of its partitions counts as one evaluation of any other test patients of the same
cohort, from its first fold on.

The file is ``test_looks.jsonl`` in the folder of the runs. Each entry holds the hash of all that stands before it, and every
sealed plan has one, so that a line that was changed, removed or put in shows (:func:`check_ledger`). Who owns the file can
still write the whole of it anew: only a head that somebody else keeps shows that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise

from core.errors import DocumentError
from core.files import append_line, parse_document, storage_errors
from core.runs.folder import now
from core.runs.lock import hold_lock
from core.settings import Settings

LEDGER = "test_looks.jsonl"
BUSY = "The ledger of test-set evaluations is busy; try again."
REWRITABLE = "Its owner can still write it anew as a whole: only a head that somebody else keeps shows that."


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """Whether the ledger's chain is whole."""

    entries: int
    heads: tuple[str, ...]
    """SHA-256 over everything up to each line, the empty ledger first."""
    fault: str
    """What is wrong with the chain, naming the line; empty where it is whole."""

    @property
    def head(self) -> str:
        """SHA-256 over the whole ledger."""
        return self.heads[-1]

    def to_dict(self) -> dict[str, object]:
        """As ``seal check --json`` has it."""
        return {"entries": self.entries, "head": self.head, "fault": self.fault, "note": REWRITABLE}


def count_evaluations(digest: str, settings: Settings, cohort_digest: str = "", persons: Iterable[str] = ()) -> int:
    """Return how often the patients of a digest have been evaluated; see :func:`list_evaluations`."""
    return len(list_evaluations(digest, settings, cohort_digest, persons=persons))


def list_evaluations(
    digest: str, settings: Settings, cohort_digest: str = "", *, persons: Iterable[str] = ()
) -> list[dict[str, str]]:
    """Return each evaluation of the patients of a digest, oldest first: ``run``, ``when`` (ISO 8601, UTC), ``code`` ("" in old ones).

    Parameters
    ----------
    digest
        Of the test patients (``Split.test_digest``).
    settings
        Where the ledger lies.
    cohort_digest
        Of the cohort they belong to; with it, partitions of the whole cohort count too, each once.
    persons
        Digests of their marks; with them, evaluations of any of these persons among others count too. Test digests of
        other splits stand for the persons of entries that an older version wrote without marks.
    """
    return [
        {name: str(entry.get(name, "")) for name in ("run", "when", "code")}
        for entry in _concerning(digest, settings, cohort_digest, persons)
    ]


def number_look(
    digest: str, settings: Settings, cohort_digest: str = "", persons: Iterable[str] = (), model: str = ""
) -> int:
    """Return which look at these patients the answers of one model are, from 1; the next one where it has not looked yet.

    The same model on the same patients gives the same answers: it counts as one look however often it is asked.

    Parameters
    ----------
    digest, settings, cohort_digest, persons
        As in :func:`list_evaluations`.
    model
        Digest of the weights and their card, as :func:`record_evaluation` was given it.
    """
    looks = []
    for entry in _concerning(digest, settings, cohort_digest, persons):
        look = (entry.get("test_digest"), entry.get("model") or (entry.get("run"), entry.get("when")))
        if look not in looks:
            looks.append(look)
    return looks.index((digest, model)) + 1 if (digest, model) in looks else len(looks) + 1


def evaluated_marks(settings: Settings, without: tuple[str, str] = ("", "")) -> frozenset[str]:
    """Return the marks of all persons who have been evaluated, but by one run (its name, its test digest).

    Of an entry without marks, as older versions wrote them, its test digest stands for its persons, and of a partition
    its cohort's digest.
    """
    marks: set[str] = set()
    for entry in _entries(settings):
        if (entry.get("run"), entry.get("test_digest")) != without:
            marks |= {str(entry.get("test_digest", "")), *_known_by(entry)}
            marks |= {str(entry.get("cohort_digest", ""))} if entry.get("partition") else set()
    return frozenset(marks)


def record_evaluation(
    digest: str,
    run_name: str,
    settings: Settings,
    *,
    cohort_digest: str = "",
    partition: str = "",
    persons: Iterable[str] = (),
    model: str = "",
    code: str = "",
    answers: str = "",
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
        Digests of the persons' marks (:func:`core.runs.persons.mark_test_persons`).
    model, code
        Digest of the weights and their card; version of the code (:func:`core.runs.environment.name_code`).
    answers
        Digest of what the model said (:func:`core.runs.evaluation.digest_answers`).

    Raises
    ------
    RunBusyError
        Others write at the same time and do not come to an end.
    StorageError
        It cannot be written; then the figures are not shown either.
    """
    entry: dict[str, object] = {"test_digest": digest, "run": run_name, "when": now()}
    marks = sorted(set(persons))
    if marks:
        entry["persons"] = marks
    entry |= {name: text for name, text in (("model", model), ("code", code), ("answers", answers)) if text}
    if partition:
        entry |= {"cohort_digest": cohort_digest, "partition": partition}
    with _writing(settings):
        _append(entry, settings)
        return count_evaluations(digest, settings, cohort_digest, marks)


def list_looks(digest: str, settings: Settings) -> list[dict[str, str]]:
    """Return every entry of exactly these test patients, oldest first: ``run``, ``partition`` and ``answers``, "" where it has none."""
    return [
        {name: str(entry.get(name, "")) for name in ("run", "partition", "answers")}
        for entry in _entries(settings)
        if entry["test_digest"] == digest
    ]


def append_entry(entry: Mapping[str, object], settings: Settings) -> str:
    """Chain an entry to the ledger's end and return the head that it was chained to.

    Raises
    ------
    RunBusyError, StorageError
        As :func:`record_evaluation`.
    """
    with _writing(settings):
        return _append(entry, settings)


def check_ledger(settings: Settings) -> LedgerState:
    """Say whether each entry of the ledger holds the hash of all that stands before it.

    Entries that older versions wrote before the first chained one are covered by its hash, but not by each other's.
    """
    lines = _read(settings).splitlines()
    heads = [""]
    for line in lines:
        heads.append(hashlib.sha256(f"{heads[-1]}{line}".encode()).hexdigest())
    chained, fault = False, ""
    for number, ((before, _), line) in enumerate(zip(pairwise(heads), lines, strict=True), start=1):
        entry = _entry(line)  # empty where a write was cut off: what comes after is chained to it as it is
        previous = entry.get("previous")
        chained = chained or previous is not None
        if chained and entry and previous != before and not fault:
            fault = (
                f"The ledger's chain is broken at line {number} of {LEDGER}: a line at or before it was changed, removed or "
                "put in after it was written"
            )
    return LedgerState(entries=len(lines), heads=tuple(heads), fault=fault)


def sealed_plans(settings: Settings) -> dict[str, tuple[str, str]]:
    """Return what the ledger says of each sealed plan: by its name its hash, and the digest of its test patients."""
    found: dict[str, tuple[str, str]] = {}
    for line in _read(settings).splitlines():
        entry = _entry(line)
        if "seal" in entry:
            found.setdefault(str(entry["seal"]), (str(entry.get("hash", "")), str(entry.get("sealed", ""))))
    return found


def merge_evaluations(digest: str, evaluations: Iterable[Mapping[str, str]], settings: Settings) -> int:
    """Record evaluations that were made elsewhere and are not known yet; return how many there are now.

    Raises
    ------
    RunBusyError
        Others write at the same time and do not come to an end.
    StorageError
        It cannot be written.
    """
    with _writing(settings):
        known = {(one["run"], one["when"]) for one in list_evaluations(digest, settings)}
        for one in evaluations:
            if (one["run"], one["when"]) not in known:
                _append({"test_digest": digest, "run": one["run"], "when": one["when"]}, settings)
                known.add((one["run"], one["when"]))
        return count_evaluations(digest, settings)


def _writing(settings: Settings) -> AbstractContextManager[None]:
    with storage_errors(settings.runs):
        settings.runs.mkdir(parents=True, exist_ok=True)
    return hold_lock(settings.runs / ".test_looks.lock", BUSY, 30)


def _append(entry: Mapping[str, object], settings: Settings) -> str:
    head = check_ledger(settings).head
    text = _read(settings)
    torn = "\n" if text and not text.endswith("\n") else ""  # a line that a full disk cut off stays a line of its own
    append_line(settings.runs / LEDGER, torn + json.dumps({**entry, "previous": head}))
    return head


def _concerning(
    digest: str, settings: Settings, cohort_digest: str, persons: Iterable[str]
) -> Iterator[dict[str, object]]:
    """Yield the entries that concern some patients, oldest first; of the folds of one partition the first alone."""
    entries = _entries(settings)
    own = {entry.get("partition") for entry in entries if entry.get("test_digest") == digest} - {None, ""}
    sought = set(persons)
    counted = set()
    for entry in entries:
        if entry.get("test_digest") == digest:
            yield entry
            continue
        partition = entry.get("partition")
        if partition:
            same = bool(cohort_digest) and entry.get("cohort_digest") == cohort_digest
            if not (same or sought.intersection(_known_by(entry))) or partition in own or partition in counted:
                continue
            counted.add(partition)
            yield {**entry, "run": partition}
        elif sought.intersection(_known_by(entry)):
            yield entry


def _read(settings: Settings) -> str:
    try:
        return (settings.runs / LEDGER).read_text(errors="replace")
    except OSError:
        return ""


def _entries(settings: Settings) -> list[dict[str, object]]:
    """Every entry of an evaluation, oldest first; damaged lines are left out."""
    entries = [_entry(line) for line in _read(settings).splitlines()]
    return [entry for entry in entries if "test_digest" in entry]


def _known_by(entry: Mapping[str, object]) -> list[str]:
    """The marks of an entry's persons; without any, as in an older version, the digest of them all."""
    persons = entry.get("persons")
    return [str(one) for one in persons] if isinstance(persons, list) else [str(entry.get("test_digest", ""))]


def _entry(line: str) -> dict[str, object]:
    try:
        content = parse_document(line)
    except DocumentError:
        return {}
    return content if isinstance(content, dict) else {}
