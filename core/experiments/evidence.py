"""Which controls belong to a run, and what they found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from core.config import RunConfig, leaf_values
from core.dataset.split import Split
from core.errors import MGMTLabError, RunError
from core.experiments.external.parameters import EXTERNAL
from core.experiments.twin.pair import list_pairs, read_result
from core.files import digest_file
from core.jobs.experiment import Experiment, Question, list_experiments
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.runs.seal import IRRELEVANT
from core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control against one way in which a good figure can be wrong, and its result."""

    kind: str
    """The experiment's kind."""
    title: str
    asks: str
    otherwise: str
    """What would have to be true for it to come out the other way."""
    done: bool = False
    result: str = ""
    """A sentence with its figures, where it was done."""
    experiment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An answered control: what it is about, and what it found."""

    kind: str
    name: str
    source: DataSource
    config: RunConfig
    split: Split | None
    """Of one of its trainings; None where none is recorded."""
    units: tuple[str, ...]
    """By what it splits; a twin run by both."""
    sentence: str
    sha256: str = ""
    """Of the one checkpoint that it is about; empty where it trains its own."""
    cohort_digest: str = ""
    """Of the cohort that a measurement is of: it trains nothing, so that no configuration belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A finished experiment."""

    experiment: Experiment
    question: Question
    result: dict[str, Any]


CONTROLS: tuple[Control, ...] = (
    Control(
        kind="permutation",
        title="Permutation test",
        asks="how often labels shuffled by patient do as well",
        otherwise="images and labels were unrelated: p would then be any number between 0 and 1",
    ),
    Control(
        kind="random_labels",
        title="Random labels",
        asks="whether the protocol finds something where there is nothing",
        otherwise="the protocol leaked: shuffled labels would then be predicted, too",
    ),
    Control(
        kind="twin",
        title="Twin run",
        asks="what a split by slice would have reported instead",
        otherwise="slices of one patient were no more alike than those of two",
    ),
    Control(
        kind="shortcuts",
        title="Shortcuts",
        asks="whether headers, the blanked brain or shuffled slices predict the label",
        otherwise="scanner, spacing or slice numbers differed between the classes",
    ),
    Control(
        kind="leak_meter",
        title="Leak meter",
        asks="how much a split by slice gives away on these images, with nothing trained",
        otherwise="slices of one patient were no more alike than those of two",
    ),
    Control(
        kind="maps",
        title="Test of the maps",
        asks="whether the checkpoint's maps point at the tumour, and change with what was learnt",
        otherwise="its maps showed edges, or the tumour as often as chance would",
    ),
    Control(
        kind="cross_validation",
        title="Cross-validation by patient",
        asks="whether other partitions of the patients give the same",
        otherwise="one lucky partition carried the result",
    ),
    Control(
        kind="optimism",
        title="Optimism",
        asks="how much choosing the epoch adds, over seeds",
        otherwise="the choice had nothing to work on: one epoch, or very many patients",
    ),
    Control(
        kind="positive_control",
        title="Positive control",
        asks="whether the same pipeline finds another target of the same persons that can be found",
        otherwise="the pipeline could find nothing at all: then finding nothing says nothing",
    ),
    Control(
        kind="robustness",
        title="Robustness sweep",
        asks="how far the answers move with noise, blur, spacing, registration and window",
        otherwise="the network answered by what no scanner keeps the same",
    ),
    Control(
        kind="specification",
        title="Specification curve",
        asks="whether other reasonable choices give the same",
        otherwise="the result hung on one choice of preparation",
    ),
)

BY_KIND = {control.kind: control for control in CONTROLS}
RANDOM_LABELS = "random_labels"
BY_PATIENT = frozenset({"optimism", "specification", "cross_validation", "positive_control"})
"""Kinds that split by patient, whatever their configuration says."""
FREE = IRRELEVANT | {"seed", "precision", "split_unit"}
"""Settings in which a control may differ from a run; the split's unit is compared by itself."""


def find_controls(run: RunFolder, settings: Settings) -> tuple[Control, ...]:
    """Return the controls of a run; the newest of each kind that belongs to it counts, and one that does not says why.

    Parameters
    ----------
    run
        The run whose claim is checked.
    settings
        Where experiments and runs live.
    """
    found: dict[str, Control] = {}
    for subject in (*_subjects(settings), *_twins(settings)):
        known = found.get(subject.kind)
        if subject.kind not in BY_KIND or (known is not None and known.done):
            continue
        reason = explain_difference(subject, run)
        if not reason:
            found[subject.kind] = replace(
                BY_KIND[subject.kind], done=True, experiment=subject.name, result=subject.sentence
            )
        elif known is None:
            result = f"not counted: {subject.name} is of another {reason}"
            found[subject.kind] = replace(BY_KIND[subject.kind], experiment=subject.name, result=result)
    return tuple(found.get(control.kind, control) for control in CONTROLS)


def explain_difference(subject: Subject, run: RunFolder) -> str:
    """Return why a control does not belong to a run: "" where it does.

    It belongs where cohort (its content, wherever it lies), labels, unit of the split and configuration are the run's. Seeds
    and what says only how a result is computed may differ. The run's cohort without its test patients is its cohort, too. There,
    and where labels were shuffled on purpose, source and persons name it, because a digest covers studies and labels.
    """
    ours, theirs = run.source, subject.source
    if any(getattr(ours, name) != getattr(theirs, name) for name in ("target", "positive", "cutoff")):
        return "target: it predicts other labels"
    split = run.split()
    if subject.sha256 and subject.sha256 != digest_file(run.checkpoint):
        return "checkpoint"
    shuffled = theirs.shuffle_seed != ours.shuffle_seed
    if shuffled and subject.kind != RANDOM_LABELS:
        return "labelling: one of both is shuffled"
    if subject.cohort_digest:
        return "" if subject.cohort_digest == split.cohort_digest else "cohort: other studies, series or labels"
    if subject.split is None:
        return "cohort, as far as is known: it recorded none"
    alike = theirs.model_copy(update={"shuffle_seed": ours.shuffle_seed})
    rest = ours.without(split.test)
    if shuffled or alike == rest:
        if alike not in (ours, rest):
            return "cohort"
        if subject.split.unit == split.unit and not set(_units(subject.split)) <= set(_units(split)):
            return "cohort: it holds other persons"
    elif subject.split.cohort_digest != split.cohort_digest:
        return "cohort: other studies, series or labels"
    unit = run.config.split.split_unit
    if unit not in subject.units:
        return f"unit of the split: by {' and '.join(subject.units)}, not by {unit}"
    values, own = leaf_values(subject.config), leaf_values(run.config)
    other = [name for name in own if name not in FREE and values[name] != own[name]]
    return f"configuration: {', '.join(f'{name} {values[name]}, not {own[name]}' for name in other)}" if other else ""


def find_external(run: RunFolder, settings: Settings) -> str:
    """Return what the newest external validation of a run found; empty where there was none.

    One of an earlier training in the same folder is of another checkpoint, and does not count.
    """
    digest = digest_file(run.checkpoint)
    for answer in list_answers(settings, EXTERNAL):
        if answer.question.parameters.get("sha256") == digest:
            removed = sum(one["overlap"]["count"] for one in answer.result["cohorts"])
            dropped = f" {removed} persons were dropped as known already." if removed else ""
            return f"{answer.result['sentence']}{dropped} Asked as {answer.experiment.name}."
    return ""


def find_audit(run: RunFolder, settings: Settings) -> tuple[str, ...] | None:
    """Return what the newest audit of a run's split found, a sentence each (empty: nothing); None where there was none."""
    path = run.path / "split.json"
    if not path.is_file():
        return None
    digest = digest_file(path)
    for answer in list_answers(settings, "split_audit"):
        if answer.question.parameters.get("sha256") == digest:
            with suppress(KeyError, TypeError):  # of another version
                return tuple(str(one["message"]) for one in answer.result["found"]["report"]["findings"])
    return None


def find_study(run: RunFolder, settings: Settings) -> dict[str, str]:
    """Return what the steps of the newest whole study of a run's checkpoint found, a sentence each; empty without one."""
    digest = digest_file(run.checkpoint)
    for answer in list_answers(settings, "study"):
        if answer.result.get("sha256") == digest:
            return {name: step["sentence"] for name, step in answer.result["steps"].items() if not step.get("failed")}
    return {}


def list_answers(settings: Settings, kind: str | None = None) -> list[Answer]:
    """List the finished experiments of a kind, or of all kinds, newest first; a damaged one is left out."""
    found = []
    for experiment in list_experiments(settings, kind):
        result = experiment.result()
        if result:
            with suppress(RunError):
                found.append(Answer(experiment=experiment, question=experiment.question(), result=result))
    return found


def _subjects(settings: Settings) -> Iterator[Subject]:
    """Every answered experiment, newest first."""
    for answer in list_answers(settings):
        question, split = answer.question, None
        with suppress(MGMTLabError):
            split = answer.experiment.split() or next((member.split() for member in answer.experiment.members()), None)
        yield Subject(
            kind=question.kind, name=answer.experiment.name, source=question.source, config=question.config, split=split,
            units=("patient",) if question.kind in BY_PATIENT else (question.config.split.split_unit,),
            sentence=str(answer.result.get("sentence") or "finished; see its result"),
            sha256=str(question.parameters.get("sha256", "")),
            cohort_digest=str(answer.result.get("cohort_digest", "")),
        )  # fmt: skip


def _twins(settings: Settings) -> Iterator[Subject]:
    for pair in list_pairs(settings):
        result, member = read_result(pair), pair.runs["patient_split"]
        if result:
            with suppress(MGMTLabError):
                yield Subject(
                    kind="twin" if result.get("shuffle_seed") is None else RANDOM_LABELS, name=pair.name,
                    source=member.source, config=member.config, split=member.split(), units=("patient", "slice"),
                    sentence=str(result["sentence"]),
                )  # fmt: skip


def _units(split: Split) -> tuple[str, ...]:
    return (*split.train, *split.val, *split.test)
