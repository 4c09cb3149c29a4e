"""Rounds over a DICOMweb server, or what came by C-STORE: fetch what rules name, predict, push the answers back.

Killed anywhere, it resumes. What a result is called follows from study, checkpoint and content, so that pushing it again is no second result.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import dcmread

from core.data.formats.dicom import PARSER_ERRORS
from core.errors import DataError, MGMTLabError, ServerError, StorageError, may_pass
from core.files import remove_file, storage_errors, write_atomic
from core.inference.batch import digest_checkpoint
from core.inference.predict import Predictor
from core.serve.dicomweb import Found
from core.serve.results import AuditLog, identify, make_results
from core.serve.rules import Rule, Rules, fetch_named, list_named, open_client, open_inbox, open_target
from core.settings import Settings

UNFINISHED = 3
"""Tries during which the process ended, or memory or the disk failed, until a study is put off."""
TRIES = 8
"""Of a study for which memory or the disk fails; what the last one finds is final."""
PUT_OFF_SECONDS = 3600
"""For the first time; twice as long after each further try."""
CLOCK_SECONDS = 1.0
"""A file's time may be so much older than the clock says."""


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
    """Left for hours, for the process ended, or memory or the disk failed, during each of several tries."""
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
        self._inbox = open_inbox(rules, folder / "inbox")
        self._source = self._inbox or open_client(rules, settings, wait=wait)
        self._target = open_target(rules, settings, wait=wait)
        self._predictors = {rule.name: open_checkpoint(rule.checkpoint) for rule in rules.rules}
        self._digests = {name: digest_checkpoint(one.path) for name, one in self._predictors.items()}
        shutil.rmtree(folder / "work", ignore_errors=True)
        with storage_errors(folder):
            for name in ("work", "done", "outbox", "tries"):
                (folder / name).mkdir(parents=True, exist_ok=True)
        self._log_file = AuditLog(folder, identifiers=rules.identifiers)
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
        if not series:
            return None
        identity = identify(study, self._digests[rule.name], series, rule.objects)
        key = self._log_file.key_of(identity)
        return _Task(rule=rule, study=study, series=tuple(series), identity=identity, key=key)

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
            reason = (
                f"The process ended {times} times while it worked on this study, or memory or the disk failed; it is tried "
                f"again in {pause // 3600} h."
            )
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
            if self._tries(task).exists():
                self._log("failed", task.rule, task.study, task.key, reason=str(error))
                return "waiting"
            self._finish(task, "refused", reason=str(error))
            return "refused"

    def _make_results(self, task: _Task, outbox: Path) -> None:
        """Fetch, predict, and put the objects into the outbox, all at once; counted until it ends for good.

        Raises
        ------
        DataError
            It cannot be answered; unless it is the last try, also where something of it was left out that may be read then.
        """
        tries = self._unfinished(task) + 1
        write_atomic(self._tries(task), str(tries))
        try:
            with storage_errors(self._folder), TemporaryDirectory(dir=self._folder / "work") as folder:
                scan, results = Path(folder) / "scan", Path(folder) / "results"
                fetch_named(self._source, task.study, task.series, scan, self._settings)
                predictor = self._predictors[task.rule.name]
                answer = make_results(task.rule.objects, predictor, scan, results, self._settings, task.identity)
                lost = next(filter(may_pass, answer.warnings), "")
                if lost and tries < TRIES:
                    raise DataError(lost)
                shutil.rmtree(outbox, ignore_errors=True)
                results.replace(outbox)
        except (MGMTLabError, KeyboardInterrupt) as error:
            if tries >= TRIES or not may_pass(str(error)):
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
        """How often a study was tried in vain, for the process ended or memory or the disk failed."""
        path = self._tries(task)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return int(text) if text.isdecimal() else 0

    def _finish(self, task: _Task, state: str, **more: object) -> None:
        self._log(state, task.rule, task.study, task.key, **more)
        write_atomic(self._folder / "done" / f"{task.key}.json", json.dumps({"state": state, **more}))
        shutil.rmtree(self._folder / "outbox" / task.key, ignore_errors=True)
        self._seen.pop((task.rule.name, task.study), None)

    def _log(self, event: str, rule: Rule, study: str, key: str, **more: object) -> None:
        self._log_file.append(event, rule, self._digests[rule.name], study, key, **more)
