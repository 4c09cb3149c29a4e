"""Which controls were run on what a run was trained on, and what they found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.experiments.twin.pair import list_pairs, read_result
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
    found: dict[str, tuple[float, str, str]] = {}
    for when, kind, name, sentence in (*_answers(run, settings), *_twins(run, settings)):
        if kind not in found or when >= found[kind][0]:
            found[kind] = (when, name, sentence)
    return tuple(
        replace(control, done=True, experiment=found[control.kind][1], result=found[control.kind][2])
        if control.kind in found
        else control
        for control in CONTROLS
    )


def list_answers(settings: Settings, kind: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """List the finished experiments of a kind, newest first: name, question and result."""
    found = []
    for path in settings.experiments.glob("*/result.json"):
        question, result = _read(path.with_name("question.json")), _read(path)
        if question.get("kind") == kind and result:
            found.append((path.stat().st_mtime, path.parent.name, question, result))
    return [(name, question, result) for _, name, question, result in sorted(found, key=lambda one: -one[0])]


def _answers(run: RunFolder, settings: Settings) -> Iterator[tuple[float, str, str, str]]:
    for path in settings.experiments.glob("*/result.json"):
        question, result = _read(path.with_name("question.json")), _read(path)
        if result and _is_about(question, run):
            text = str(result.get("sentence") or "finished; see its result")
            yield path.stat().st_mtime, str(question.get("kind", "")), path.parent.name, text


def _twins(run: RunFolder, settings: Settings) -> Iterator[tuple[float, str, str, str]]:
    for pair in list_pairs(settings):
        result, member = read_result(pair), pair.runs["patient_split"]
        if result and member.source.root == run.source.root and member.config.architecture == run.config.architecture:
            kind = "random_labels" if result.get("shuffle_seed") is not None else "twin"
            yield member.path.stat().st_mtime, kind, pair.name, str(result["sentence"])


def _is_about(question: Mapping[str, Any], run: RunFolder) -> bool:
    """Whether an experiment is on the same data and network, and on whole heads where the run is."""
    source = question.get("source") or question.get("data") or {}
    config = question.get("config") or {}
    blanked = bool((config.get("prep") or {}).get("blank_head", False))
    return (
        str(source.get("root", "")) == run.source.root
        and config.get("architecture") == run.config.architecture
        and blanked == run.config.prep.blank_head
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
