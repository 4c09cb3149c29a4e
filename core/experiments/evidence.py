"""Which controls were run on what a run was trained on, and what they found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from core.errors import RunError
from core.experiments.external.parameters import EXTERNAL, digest_file
from core.experiments.twin.pair import list_pairs, read_result
from core.jobs.experiment import Experiment, Question, list_experiments
from core.runs.folder import RunFolder
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
        kind="specification",
        title="Specification curve",
        asks="whether other reasonable choices give the same",
        otherwise="the result hung on one choice of preparation",
    ),
)


def find_controls(run: RunFolder, settings: Settings) -> tuple[Control, ...]:
    """Return the controls on the run's data with the run's network; the newest of each kind counts.

    Parameters
    ----------
    run
        The run whose claim is checked.
    settings
        Where experiments and runs live.
    """
    found: dict[str, tuple[str, str]] = {}
    for kind, name, sentence in (*_answers(run, settings), *_twins(run, settings)):
        found.setdefault(kind, (name, sentence))
    return tuple(
        replace(control, done=True, experiment=found[control.kind][0], result=found[control.kind][1])
        if control.kind in found
        else control
        for control in CONTROLS
    )


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


def list_answers(settings: Settings, kind: str | None = None) -> list[Answer]:
    """List the finished experiments of a kind, or of all kinds, newest first; a damaged one is left out."""
    found = []
    for experiment in list_experiments(settings, kind):
        result = experiment.result()
        if result:
            with suppress(RunError):
                found.append(Answer(experiment=experiment, question=experiment.question(), result=result))
    return found


def _answers(run: RunFolder, settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Kind, name and sentence of each experiment on the run's data with its network, newest first."""
    for answer in list_answers(settings):
        if _is_about(answer.question, run):
            sentence = str(answer.result.get("sentence") or "finished; see its result")
            yield answer.question.kind, answer.experiment.name, sentence


def _twins(run: RunFolder, settings: Settings) -> Iterator[tuple[str, str, str]]:
    for pair in list_pairs(settings):
        result, member = read_result(pair), pair.runs["patient_split"]
        if result and member.source.root == run.source.root and member.config.architecture == run.config.architecture:
            kind = "random_labels" if result.get("shuffle_seed") is not None else "twin"
            yield kind, pair.name, str(result["sentence"])


def _is_about(question: Question, run: RunFolder) -> bool:
    """Whether an experiment is on the same data and network, and on whole heads where the run is."""
    return (question.source.root, question.config.architecture, question.config.prep.blank_head) == (
        run.source.root,
        run.config.architecture,
        run.config.prep.blank_head,
    )
