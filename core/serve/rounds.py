"""Rounds over a DICOMweb server, or what came by C-STORE: fetch what rules name, predict, push the answers back.

Killed anywhere, it resumes. What a result is called follows from study, checkpoint and content, so that pushing it again is no second result.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from core.data.formats.dicom import PARSER_ERRORS
from core.data.upload import open_scan
from core.errors import ConfigError, DataError, MGMTLabError, ServerError, StorageError
from core.explain.slices import map_slices
from core.explain.validation.saliency_record import default_map
from core.files import append_line, remove_file, replace_atomically, storage_errors, write_atomic
from core.inference.batch import digest_checkpoint
from core.inference.handed_in import predict_all
from core.inference.predict import Predictor
from core.inference.prediction import Prediction
from core.reports.dicom.write import DicomKind, write_dicom
from core.serve.dicomweb import Found
from core.serve.rules import Rule, Rules, fetch_named, list_named, open_client
from core.settings import Settings

if TYPE_CHECKING:
    from core.serve.cstore import Inbox, Node

UNFINISHED = 3
"""Tries during which the process ended, until a study is put off."""
PUT_OFF_SECONDS = 3600
"""For the first time; twice as long after each further try."""
CLOCK_SECONDS = 1.0
"""A file's time may be so much older than the clock says."""
MADE_HERE = "1.2.826.0.1.3680043.10.511.3."
"""What the UIDs begin with that highdicom makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """What one round came to."""

    pushed: int = 0
    done_before: int = 0
    refused: int = 0
    waiting: int = 0
    """Failed, and tried again in the next round."""
    arriving: int = 0
    """Left for later, for they may still grow."""
    put_off: int = 0
    """Left for hours, for the process ended during each of several tries."""
    unmatched: int = 0
    """Without a series that the rule names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A study that a rule names."""

    rule: Rule
    study: str
    series: tuple[Found, ...]
    identity: str
    """What makes an answer the same answer: study, checkpoint, content, and what is asked for."""
    key: str
    """A digest of it that tells nobody the study."""


class Rounds:
    """The rules at work; `folder` keeps what is done (done/), what is to be pushed (outbox/) and the log (audit.jsonl)."""

    def __init__(
        self,
        rules: Rules,
        folder: Path,
        settings: Settings,
        open_checkpoint: Callable[[str], Predictor],
        *,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rules, self._folder, self._settings = rules, folder, settings
        self._inbox, node = _open_dimse(rules, folder) if rules.listen or rules.send else (None, None)
        self._source = self._inbox or open_client(rules, settings, wait=wait)
        self._target = node or open_client(rules, settings, rules.push or rules.url, wait=wait)
        self._predictors = {rule.name: open_checkpoint(rule.checkpoint) for rule in rules.rules}
        self._digests = {name: digest_checkpoint(one.path) for name, one in self._predictors.items()}
        shutil.rmtree(folder / "work", ignore_errors=True)
        with storage_errors(folder):
            for name in ("work", "done", "outbox", "tries"):
                (folder / name).mkdir(parents=True, exist_ok=True)
        salt = folder / "salt"
        if not salt.exists():
            write_atomic(salt, os.urandom(16).hex())
        self._salt = salt.read_text()
        self._seen: dict[tuple[str, str], tuple[str, float]] = {}
        self._named: dict[str, int] = {}

    def run_once(self) -> RoundResult:
        """Go over every study once; one that fails is logged and tried again in the next round.

        Studies during which an earlier process ended come last, so that one that kills the process keeps back no other.

        Raises
        ------
        ServerError
            The server cannot list its studies.
        StorageError
            The disk is full.
        """
        counts = {field.name: 0 for field in fields(RoundResult)}
        began = time.time() - max(CLOCK_SECONDS, self._rules.settle_seconds)
        tasks: list[_Task] = []
        kept: set[str] = set()
        for rule in self._rules.rules:
            for found in self._source.list_studies(rule.studies):
                try:
                    task = self._plan(rule, found["uid"])
                except ServerError as error:
                    self._log("failed", rule, found["uid"], "", reason=str(error))
                    counts["waiting"] += 1
                    continue
                state = self._put_aside(task) if task else "unmatched"
                if task and not state:
                    tasks.append(task)
                else:
                    counts[state] += 1
                    kept |= {found["uid"]} if state in ("arriving", "put_off") else set()
        for task in sorted(tasks, key=self._unfinished):
            state = self._answer(task)
            counts[state] += 1
            kept |= {task.study} if state == "waiting" else set()
        if self._inbox:
            for found in self._inbox.list_studies({}):
                if found["uid"] not in kept:
                    self._inbox.forget(found["uid"], began)
        return RoundResult(**counts)

    def receiving(self) -> AbstractContextManager[None]:
        """Take studies by C-STORE while a block runs, where the rules say so; raises ServerError where the port is taken."""
        rules = self._rules
        return self._inbox.listen(rules.listen, rules.title, rules.senders) if self._inbox else nullcontext()

    def _plan(self, rule: Rule, study: str) -> _Task | None:
        """What there is to do for a study; None where it has no series that the rule names."""
        series = list_named(self._source, rule, study)
        content = sorted([one["uid"], one["count"]] for one in series)
        identity = json.dumps([study, self._digests[rule.name], content, rule.objects])
        key = hashlib.sha256(f"{self._salt}{identity}".encode()).hexdigest()[:32]
        return _Task(rule=rule, study=study, series=tuple(series), identity=identity, key=key) if series else None

    def _put_aside(self, task: _Task) -> str:
        """Why a study is not answered in this round; nothing where it is."""
        if (self._folder / "done" / f"{task.key}.json").exists():
            # What lies there was left by a process that ended just then.
            shutil.rmtree(self._folder / "outbox" / task.key, ignore_errors=True)
            return "done_before"
        if self._is_whole(task):
            return ""
        key, since = self._seen.get((task.rule.name, task.study), ("", 0.0))
        if key != task.key:
            since = time.monotonic()
            self._seen[task.rule.name, task.study] = (task.key, since)
        if time.monotonic() - since < self._rules.settle_seconds:
            return "arriving"
        times = self._unfinished(task)
        if times < UNFINISHED:
            return ""
        pause = PUT_OFF_SECONDS * 2 ** min(times - UNFINISHED, 5)
        if time.time() - self._tries(task).stat().st_mtime > pause:
            return ""
        if self._named.get(task.key) != times:
            self._named[task.key] = times
            reason = f"The process ended {times} times while it worked on this study; it is tried again in {pause // 3600} h."
            self._log("put off", task.rule, task.study, task.key, reason=reason)
        return "put_off"

    def _answer(self, task: _Task) -> str:
        outbox = self._folder / "outbox" / task.key
        try:
            if not self._is_whole(task):
                self._make_results(task, outbox)
            files = sorted(outbox.glob("*.dcm"))
            self._target.store(task.study, files)
            self._finish(task, "pushed", objects=len(files))
            return "pushed"
        except StorageError:
            raise
        except ServerError as error:
            self._log("failed", task.rule, task.study, task.key, reason=str(error))
            return "waiting"
        except MGMTLabError as error:
            self._finish(task, "refused", reason=str(error))
            return "refused"

    def _make_results(self, task: _Task, outbox: Path) -> None:
        """Fetch, predict, and put the objects into the outbox, all at once; counted until it ends in one way or the other."""
        predictor = self._predictors[task.rule.name]
        write_atomic(self._tries(task), str(self._unfinished(task) + 1))
        try:
            with storage_errors(self._folder), TemporaryDirectory(dir=self._folder / "work") as folder:
                scan, results = Path(folder) / "scan", Path(folder) / "results"
                fetch_named(self._source, task.study, task.series, scan, self._settings)
                cohort = open_scan([scan], Path(folder) / "unpacked", self._settings)
                predictions, failures = predict_all(predictor, cohort)
                if len(predictions) != 1 or failures:
                    raise DataError(f"The study holds {len(cohort)} examinations; only one can be answered at once.")
                answer = predictions[0]
                write_results(task.rule.objects, predictor, answer, results)
                fix_uids(sorted(results.glob("*.dcm")), _uids_of(scan), task.identity)
                shutil.rmtree(outbox, ignore_errors=True)
                results.replace(outbox)
        except (MGMTLabError, KeyboardInterrupt):
            remove_file(self._tries(task))
            raise
        remove_file(self._tries(task))
        self._log("predicted", task.rule, task.study, task.key, guard=answer.guard, reason=answer.reason)

    def _is_whole(self, task: _Task) -> bool:
        """Whether the outbox has the results of a study, and they can be read."""
        files = list((self._folder / "outbox" / task.key).glob("*.dcm"))
        try:
            return bool([dcmread(path, stop_before_pixels=True) for path in files])
        except PARSER_ERRORS:
            return False

    def _tries(self, task: _Task) -> Path:
        return self._folder / "tries" / task.key

    def _unfinished(self, task: _Task) -> int:
        """How often a process ended while it worked on a study."""
        path = self._tries(task)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return int(text) if text.isdecimal() else 0

    def _finish(self, task: _Task, state: str, **more: object) -> None:
        self._log(state, task.rule, task.study, task.key, **more)
        write_atomic(self._folder / "done" / f"{task.key}.json", json.dumps({"state": state, **more}))
        shutil.rmtree(self._folder / "outbox" / task.key, ignore_errors=True)
        self._seen.pop((task.rule.name, task.study), None)

    def _log(self, event: str, rule: Rule, study: str, key: str, **more: object) -> None:
        named = {"study_uid": study} if self._rules.identifiers else {}
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "event": event,
            "rule": rule.name,
            "checkpoint": self._digests[rule.name],
            "key": key,
            **named,
            **more,
        }
        append_line(self._folder / "audit.jsonl", json.dumps(entry))


def _open_dimse(rules: Rules, folder: Path) -> tuple[Inbox | None, Node | None]:
    """Return what takes studies and what sends results by C-STORE, each where the rules ask for it.

    Raises
    ------
    ConfigError
        pynetdicom is not installed.
    """
    try:
        from core.serve.cstore import Inbox, Node
    except ModuleNotFoundError as error:
        raise ConfigError("C-STORE needs pynetdicom: pip install -r requirements-serve.txt.") from error
    inbox = Inbox(folder / "inbox") if rules.listen else None
    return inbox, Node(rules.send, rules.title) if rules.send else None


def write_results(kinds: Sequence[DicomKind], predictor: Predictor, prediction: Prediction, folder: Path) -> None:
    """Write the answer of one study as DICOM files; of a scan that the guard refuses the report alone."""
    asked = tuple(kind for kind in kinds if kind == "sr" or not prediction.abstained) or ("sr",)
    mapped = []
    if set(asked) - {"sr"}:
        method, layer = default_map(predictor.card)
        target = predictor.card.class_names.index(prediction.prediction)
        mapped = map_slices(predictor, prediction, method=method, layer=layer, target=target)
    write_dicom(asked, predictor, prediction, mapped, folder, prefix="result")


def fix_uids(files: Sequence[Path], known: set[str], entropy: str) -> None:
    """Replace UIDs that were drawn at random by such that follow from `entropy`; those in `known`, of the scan, stay."""
    given: dict[str, str] = {}

    def fix(dataset: Dataset, element: Any) -> None:
        value = str(element.value)
        if element.VR == "UI" and value.startswith(MADE_HERE) and value not in known:
            element.value = given.setdefault(value, generate_uid(entropy_srcs=[entropy, str(len(given))]))

    for path in files:
        dataset = dcmread(path)
        dataset.walk(fix)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        with replace_atomically(path) as beside:
            dataset.save_as(beside, enforce_file_format=True)


def _uids_of(folder: Path) -> set[str]:
    """Study, series, instance and frame-of-reference UIDs of a scan."""
    tags = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"]
    return {
        str(element.value)
        for path in folder.rglob("*.dcm")
        for element in dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
    }
