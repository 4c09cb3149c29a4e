"""A sealed plan: what will be evaluated, on which patients, and what would count as success, fixed beforehand.

A seal is one JSON file, hashed over its content; its hash and time also stand in a register. A plan that was changed
afterwards no longer matches its hash, and one that was hashed again no longer matches the register. Every seal also stands
in the ledger of evaluations, so that one that was removed is missed. Against its own author, who can write all of these anew,
a seal proves something only when the hash was given to somebody else in time: print it, mail it, commit it (``--git``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.config import RunConfig, field_paths
from core.dataset.split import Split
from core.errors import EvaluationError, SealError
from core.evaluation.figure import Figure
from core.evaluation.figures import FIGURE_TITLES
from core.files import append_line, parse_document, read_document, storage_errors, write_atomic
from core.runs.anchor import Anchor, find_anchor
from core.runs.environment import name_code
from core.runs.folder import RunFolder, now
from core.runs.ledger import append_entry, check_ledger, list_evaluations, sealed_plans
from core.runs.lock import hold_lock
from core.runs.persons import mark_split, mark_test_persons, marks_to_count, trace_split
from core.settings import Settings

Metric = Literal["auroc", "auprc", "accuracy", "balanced_accuracy", "sensitivity", "specificity"]
METRICS: tuple[Metric, ...] = ("auroc", "auprc", "accuracy", "balanced_accuracy", "sensitivity", "specificity")
IRRELEVANT = frozenset({"preset", "device"})
"""Settings that do not change the result: a name, and where it is computed."""

SealState = Literal["none", "broken", "late", "changed", "waiting", "followed"]


class Criterion(BaseModel):
    """What would count as success."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Metric = "auroc"
    """Figure by patient on the test patients."""
    bound: Literal["low", "value"] = "low"
    """Whether the lower end of its 95 % interval must reach the number, or only the value itself."""
    at_least: float = Field(default=0.5, ge=0, le=1)
    """The number to reach."""

    def words(self) -> str:
        """Return the criterion as a clause."""
        what = "the lower end of the 95% interval of " if self.bound == "low" else ""
        return f"{what}{FIGURE_TITLES[self.metric]} by patient is at least {self.at_least:g}"

    def met(self, figures: Mapping[str, Figure]) -> bool:
        """Whether figures by patient reach it; a missing one does not."""
        figure = figures[self.metric]
        reached = figure.low if self.bound == "low" else figure.value
        return reached is not None and reached >= self.at_least


class Seal(BaseModel):
    """A plan and its hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    created: str
    """ISO 8601, UTC."""
    cohort_digest: str
    split_digest: str
    test_digest: str
    test_units: int
    """Patients (or slices) held out."""
    looks_before: int
    """How often they had been evaluated when the plan was sealed."""
    config: RunConfig
    criterion: Criterion
    note: str = ""
    code: str = ""
    """Version of the code (:func:`core.runs.environment.name_code`); this and the four below are absent in old seals."""
    content_digest: str = ""
    """Of what the cohort's files hold (``SliceTable.content_digest``)."""
    judged_before: int = 0
    """How many of the test persons had been evaluated."""
    trained_before: int = 0
    """How many of them had stood in the training or validation part of a run."""
    ledger_head: str | None = None
    """Head of the ledger's chain before the seal: the hash below covers it, so that who has the hash has the ledger's too."""
    hash: str = ""
    """SHA-256 over everything above, see :func:`hash_plan`."""


class SealReport(BaseModel):
    """Whether a run's result followed a seal."""

    model_config = ConfigDict(frozen=True)

    state: SealState
    words: str
    seal: Seal | None = None
    seals_for_these_patients: int = 0
    met: bool | None = None
    """Whether the criterion was reached; None before the result."""
    anchor: Anchor | None = None
    """The commit that held the seal's hash when it was last verified (:func:`attach_anchor`)."""
    ledger: dict[str, Any] | None = None
    """The ledger's chain (:meth:`core.runs.ledger.LedgerState.to_dict`)."""


def make_seal(
    config: RunConfig,
    split: Split,
    criterion: Criterion,
    settings: Settings,
    *,
    note: str = "",
    run: RunFolder | None = None,
    content_digest: str = "",
) -> Seal:
    """Hash, date and store a plan, and chain its hash to the ledger.

    Parameters
    ----------
    config, split, criterion, settings, note
        The plan, and where seals and ledger live.
    run
        The run that it is the plan of, where there is one.
    content_digest
        Of the prepared cohort; by default the run's own.

    Raises
    ------
    SealError
        The split holds out no patients, so that there is nothing to seal.
    """
    if not split.test:
        raise SealError("This split holds no test patients; set test_fraction above 0 before sealing a plan for them.")
    with storage_errors(settings.seals):
        settings.seals.mkdir(parents=True, exist_ok=True)
    own = mark_test_persons(run) if run else mark_split(split, "test")
    persons = marks_to_count(run, settings) if run else frozenset().union(*own.values())
    history = trace_split(split, own, settings, run)
    evaluations = list_evaluations(split.test_digest, settings, split.cohort_digest, persons=persons)
    with hold_lock(settings.seals / ".lock", "The register of seals is busy; try again.", 30):
        number = 1 + len(
            _registered(settings) | sealed_plans(settings)
        )  # names of seals that were removed are not given again
        seal = Seal(
            name=f"seal-{number:04d}",
            created=now(),
            cohort_digest=split.cohort_digest,
            split_digest=split.digest,
            test_digest=split.test_digest,
            test_units=len(split.test),
            looks_before=len(evaluations),
            config=config,
            criterion=criterion,
            note=note,
            code=name_code(),
            content_digest=content_digest or (run.environment().get("content_digest", "") if run else ""),
            judged_before=history.judged_before,
            trained_before=history.trained_before,
            ledger_head=check_ledger(settings).head,
        )
        seal = seal.model_copy(update={"hash": hash_plan(seal.model_dump(mode="json"))})
        append_line(_register(settings), json.dumps({"name": seal.name, "hash": seal.hash, "created": seal.created}))
        write_atomic(settings.seals / f"{seal.name}.json", seal.model_dump_json(indent=1))
        entry = {"seal": seal.name, "hash": seal.hash, "sealed": seal.test_digest, "when": seal.created}
        append_entry(entry, settings)
    return seal


def attach_anchor(seal: Seal, place: str, settings: Settings) -> Anchor:
    """Verify that a git commit holds a seal's hash, note it beside the seals, and return where it stands.

    Raises
    ------
    SealError
        As :func:`core.runs.anchor.find_anchor`.
    """
    anchor = find_anchor(seal.hash, place)
    append_line(settings.seals / "anchors.jsonl", json.dumps({"hash": seal.hash, **anchor.model_dump()}))
    return anchor


def read_anchor(seal: Seal, settings: Settings) -> Anchor | None:
    """Return the commit in which a seal's hash was last verified, or None."""
    try:
        lines = (settings.seals / "anchors.jsonl").read_text().splitlines()
    except OSError:
        return None
    found = None
    for line in lines:
        with suppress(ValueError):
            content = parse_document(line)
            found = Anchor.model_validate(content) if content["hash"] == seal.hash else found
    return found


def list_seals(settings: Settings) -> list[tuple[Path, Seal | None, str]]:
    """List every seal with its fault: "" where it is whole, else what was found; the seal is None where it is unreadable."""
    paths = sorted(settings.seals.glob("seal-*.json")) if settings.seals.is_dir() else []
    registered = _registered(settings)
    chained, heads = sealed_plans(settings), check_ledger(settings).heads
    registered |= {name: content for name, (content, _) in chained.items()}
    found: list[tuple[Path, Seal | None, str]] = []
    for path in paths:
        try:
            content = read_document(path)
            seal = Seal.model_validate(content)
        except (OSError, ValueError) as error:
            found.append(
                (path, None, f"{path.name} cannot be read ({type(error).__name__}): it was altered or damaged")
            )
            continue
        fault = check_seal(content, registered.get(path.stem))
        if not fault and seal.ledger_head is not None and seal.ledger_head not in heads:
            fault = f"{seal.name} was made on another ledger of evaluations: entries before it were changed or removed since"
        found.append((path, seal, fault))
    gone = set(registered) - {path.stem for path in paths}
    found += [(settings.seals / f"{name}.json", None, f"{name}.json was removed") for name in sorted(gone)]
    return found


def hash_plan(content: Mapping[str, Any]) -> str:
    """SHA-256 over everything that a seal's file says but the hash itself.

    It is taken over the file's own content: a setting that is newer than the seal must not change it.
    """
    plan = {name: value for name, value in content.items() if name != "hash"}
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def check_seal(content: Mapping[str, Any], registered_hash: str | None) -> str:
    """Say what is wrong with the content of a seal's file, or "" where it is whole."""
    name = content["name"]
    if content["hash"] != hash_plan(content):
        return f"{name} was altered after it was sealed: its content no longer fits its hash"
    if registered_hash is None:
        return f"{name} stands in no register: it was not sealed here"
    if registered_hash != content["hash"]:
        return f"{name} was sealed again under the same name: the register has another hash"
    return ""


def seal_of_run(run: RunFolder, settings: Settings, figures: Mapping[str, Figure] | None = None) -> SealReport:
    """Say whether a run's result followed a seal.

    Parameters
    ----------
    run
        A run with a split.
    settings
        Where seals and ledger live.
    figures
        The run's figures by patient on its test patients; None before they were evaluated.
    """
    report = _report_run(run, settings, figures)
    state = check_ledger(settings)
    words = f"{report.words} {state.fault}." if state.fault else report.words
    anchor = read_anchor(report.seal, settings) if report.seal else None
    if anchor is not None:
        words += (
            f" Its hash stands in commit {anchor.commit[:12]} of {anchor.date[:10]} ({anchor.where}), as last verified."
        )
    return report.model_copy(update={"words": words, "anchor": anchor, "ledger": state.to_dict()})


def _report_run(run: RunFolder, settings: Settings, figures: Mapping[str, Figure] | None) -> SealReport:
    split = run.split()
    every = list_seals(settings)
    theirs = [(seal, fault) for _, seal, fault in every if seal and seal.test_digest == split.test_digest]
    # One that is gone was another's where the ledger says so; where nothing says whose, it may have been theirs.
    chained = sealed_plans(settings)
    unreadable = [
        fault
        for path, seal, fault in every
        if seal is None and chained.get(path.stem, ("", split.test_digest))[1] == split.test_digest
    ]
    count = len(theirs)
    if not theirs:
        if unreadable:
            return SealReport(state="broken", words=f"No whole seal for these test patients; {'; '.join(unreadable)}.")
        return SealReport(
            state="none", words="No plan was sealed: what would count as success was not fixed beforehand."
        )
    reports = [_report(seal, fault, run, settings, figures, count) for seal, fault in theirs]
    order: list[SealState] = ["followed", "waiting", "changed", "late", "broken", "none"]
    best = min(reports, key=lambda report: (order.index(report.state), report.met is True))
    if unreadable:
        words = f"Beside {best.seal.name if best.seal else 'this'} there was another plan: {'; '.join(unreadable)}. {best.words}"
        return best.model_copy(update={"state": "broken", "words": words, "met": None})
    if count > 1:
        more = f" It is one of {count} seals for these patients."
        best = best.model_copy(update={"words": best.words + more})
    return best


def _report(
    seal: Seal, fault: str, run: RunFolder, settings: Settings, figures: Mapping[str, Figure] | None, count: int
) -> SealReport:
    when = f"{seal.created[:16].replace('T', ' ')} UTC"

    def say(state: SealState, words: str, met: bool | None = None) -> SealReport:
        return SealReport(state=state, words=words, seal=seal, seals_for_these_patients=count, met=met)

    if fault:
        return say("broken", f"{fault}. It proves nothing.")
    persons = marks_to_count(run, settings)
    evaluations = list_evaluations(seal.test_digest, settings, seal.cohort_digest, persons=persons)
    earlier = [one for one in evaluations if one["when"] < seal.created]
    if earlier or seal.looks_before:
        times = max(len(earlier), seal.looks_before)
        often = "once" if times == 1 else f"{times} times"
        return say("late", f"Sealed on {when}, after these test patients had been evaluated {often}: too late.")
    different = _differences(seal.config, run.config)
    split = run.split()
    if split.digest != seal.split_digest or split.cohort_digest != seal.cohort_digest:
        different.append("who is in training and validation")
    different += _differences_of_code(seal, run, evaluations)
    if different:
        return say("changed", f"Sealed on {when}, but not followed; other than planned: {', '.join(different)}.")
    start = f"Sealed on {when}, before any evaluation of these test patients (hash {seal.hash[:12]}). "
    if seal.trained_before:
        start += f"Of these patients {seal.trained_before} had been trained or validated on in other runs. "
    if figures is None:
        return say("waiting", f"{start}Success would be that {seal.criterion.words()}.")
    met = seal.criterion.met(figures)
    foreign = [one for one in evaluations if one["run"] != run.name]
    others = f" Evaluations by other runs since then: {len(foreign)}." if foreign else ""
    outcome = "That was reached." if met else "That was not reached."
    return say("followed", f"{start}Success was to be that {seal.criterion.words()}. {outcome}{others}", met)


def _differences_of_code(seal: Seal, run: RunFolder, evaluations: Sequence[Mapping[str, str]]) -> list[str]:
    """Name what else a seal covers and a result was made with other than sealed: the code, and what the files hold."""
    environment = run.environment()
    used = {one["code"] for one in evaluations if one["run"] == run.name}
    if run.status().created > seal.created:
        used.add(environment.get("code", ""))
    different = [f"the code ({code}, sealed {seal.code})" for code in sorted(used - {"", seal.code}) if seal.code]
    if seal.content_digest and environment.get("content_digest", seal.content_digest) != seal.content_digest:
        different.append("what the cohort's files hold")
    return different


def _differences(planned: RunConfig, used: RunConfig) -> list[str]:
    ours, theirs = planned.model_dump(mode="json"), used.model_dump(mode="json")

    def leaf(content: Any, path: tuple[str, ...]) -> Any:
        for step in path:
            content = content[step]
        return content

    return [
        name
        for name, path in field_paths().items()
        if name not in IRRELEVANT and leaf(ours, path) != leaf(theirs, path)
    ]


def _register(settings: Settings) -> Path:
    return settings.seals / "register.jsonl"


def _registered(settings: Settings) -> dict[str, str]:
    """Hash by name; of a name that stands twice the first counts."""
    try:
        lines = _register(settings).read_text().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise EvaluationError(f"{_register(settings)} cannot be read ({type(error).__name__}); restore it.") from error
    hashes: dict[str, str] = {}
    for line in lines:
        try:
            content = parse_document(line)
            hashes.setdefault(str(content["name"]), str(content["hash"]))
        except (ValueError, KeyError, TypeError):
            continue
    return hashes
