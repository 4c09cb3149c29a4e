"""Measurements: questions to a cohort, or to the maps of a checkpoint, that train nothing and are answered in a process of
their own.

Each is an :class:`~core.jobs.experiment.Experiment` without members, so that leaving a page loses nothing, every session finds
the answer, and the claim sheet counts it. Its folder's name says what is asked: the same question has one folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from core.audit.checks import audit_split
from core.audit.findings import AuditReport
from core.audit.split_source import parse_split, read_split
from core.config import RunConfig
from core.data.study import Cohort
from core.dataset.split import Split
from core.errors import DataError, SplitError
from core.experiments.controls.leak_meter import LeakMeter, measure_cohort, meter_prep
from core.experiments.controls.shortcuts import Shortcuts, find_shortcuts
from core.experiments.external.parameters import digest_file
from core.explain.validation.saliency_result import MapTest
from core.figure_text import p_text, value_text
from core.files import storage_errors, write_atomic
from core.jobs.experiment import Display, Experiment, Question, RunOptions, make_question
from core.progress import Progress
from core.runs.cohort import open_cohort
from core.runs.records import DataSource
from core.settings import Settings

LEAK, SHORTCUTS, FROZEN, MAPS, AUDIT = "leak_meter", "shortcuts", "frozen_permutation", "maps", "split_audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitAudit:
    """What stands on both sides of a split."""

    report: AuditReport
    by_slice: bool
    """The split is by slice, so that patients stand on both sides by design."""


RESULTS: dict[str, TypeAdapter[Any]] = {
    LEAK: TypeAdapter(LeakMeter),
    SHORTCUTS: TypeAdapter(Shortcuts),
    FROZEN: TypeAdapter(dict[str, Any]),
    MAPS: TypeAdapter(MapTest),
    AUDIT: TypeAdapter(SplitAudit),
}
"""What each kind finds."""


class MeasurementParameters(BaseModel):
    """What is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cohort: str
    """Digest of the cohort."""
    permutations: int = 0
    """Shuffles of the labels, where there are any."""
    checkpoint: str = ""
    """Path of the checkpoint whose maps are tested; or of the split that is audited, empty for the cohort's own TRAIN, VAL and
    TEST folders."""
    sha256: str = ""
    """Of its file."""
    studies: int = 0
    """Of the cohort, where not all are taken."""
    per_series: int = 0
    """Images of each series."""


def ask_measurement(
    kind: str, source: DataSource, cohort: Cohort, *, weights: str = "none", **parameters: Any
) -> Question:
    """Return the question of a kind to a cohort.

    Parameters
    ----------
    kind
        One of :data:`RESULTS`.
    source, cohort
        The data, and what was scanned of it.
    weights
        Of the frozen network, as in a run.
    parameters
        Further fields of :class:`MeasurementParameters`; the checkpoint's digest is added.
    """
    path = parameters.get("checkpoint")
    asked = MeasurementParameters(cohort=cohort.digest, sha256=digest_file(Path(path)) if path else "", **parameters)
    return make_question(kind, asked, RunConfig(weights=weights, prep=meter_prep(cohort)), source)


def find_measurement(settings: Settings, question: Question) -> Experiment:
    """Return the folder of a measurement, whether or not it was asked already."""
    asked = json.dumps(question.model_dump(mode="json", exclude={"created"}), sort_keys=True)
    digest = hashlib.sha256(asked.encode()).hexdigest()[:12]
    return Experiment(settings.experiments / f"{question.kind.replace('_', '-')}-{digest}")


def read_measurement(experiment: Experiment, kind: str) -> Any:
    """Return what was found: of the type in :data:`RESULTS`; None before, and where it cannot be read."""
    result = experiment.result()
    try:
        return RESULTS[kind].validate_python(result["found"]) if result else None
    except (KeyError, ValidationError):  # of another version: it is measured again
        return None


def measure(
    experiment: Experiment, question: Question, options: RunOptions, settings: Settings, display: Display
) -> dict[str, Any]:
    """Answer a measurement's question.

    Returns
    -------
    dict
        ``sentence``; ``cohort_digest``; ``found``, which :func:`read_measurement` reads.

    Raises
    ------
    DataError
        The cohort or the checkpoint is no longer the one that was asked about.
    EvaluationError
        The cohort does not suffice.
    """
    parameters = MeasurementParameters(**question.parameters)
    cohort = open_cohort(question.source, display.progress("reading headers"), settings)
    if cohort.digest != parameters.cohort:
        raise DataError(f"{cohort.root} has changed since it was asked about; ask anew.")
    found, sentence = MEASURES[question.kind](
        _Asked(cohort=cohort, question=question, parameters=parameters, settings=settings, progress=display.progress)
    )
    return {
        "sentence": sentence,
        "cohort_digest": cohort.digest,
        "found": RESULTS[question.kind].dump_python(found, mode="json"),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """What a measurement works on."""

    cohort: Cohort
    question: Question
    parameters: MeasurementParameters
    settings: Settings
    progress: Callable[[str], Progress]


def _leak(asked: _Asked) -> tuple[LeakMeter, str]:
    found = measure_cohort(
        asked.cohort,
        asked.settings,
        progress=asked.progress("preparing series"),
        measuring=asked.progress("comparing slices"),
    )
    sentence = (
        f"with labels shuffled among the patients a nearest neighbour is right for {value_text(found.by_slice_shuffled)} of the "
        f"slices by slice, {value_text(found.by_patient_shuffled)} by patient (n = {found.patients} patients)"
    )
    return found, sentence


def _shortcuts(asked: _Asked) -> tuple[Shortcuts, str]:
    found = find_shortcuts(
        asked.cohort,
        asked.settings,
        permutations=asked.parameters.permutations,
        progress=asked.progress("looking for shortcuts"),
    )
    return found, found.sentence


def _frozen(asked: _Asked) -> tuple[dict[str, Any], str]:
    from core.experiments.controls.frozen import permute_frozen

    told = asked.progress("features and shuffles")
    found = permute_frozen(
        asked.cohort, asked.settings, asked.question.config, permutations=asked.parameters.permutations, progress=told
    )
    sentence = (
        f"frozen features: AUROC {value_text(found.head.auroc)}, {p_text(found.head.p_value)} (n = {found.patients})"
    )
    return found.to_dict(), sentence


def _maps(asked: _Asked) -> tuple[MapTest, str]:
    from core.explain.validation.sanity import measure_maps
    from core.inference.ensemble import open_predictor

    path = Path(asked.parameters.checkpoint)
    if not path.is_file() or digest_file(path) != asked.parameters.sha256:
        raise DataError(f"{path} is no longer the checkpoint that was asked about; ask anew.")
    predictor = open_predictor(path, runtime="torch", threads=asked.settings.threads)
    told, per_series = asked.progress("testing maps"), asked.parameters.per_series
    found = measure_maps(
        predictor, asked.cohort, asked.settings, studies=asked.parameters.studies, per_series=per_series, progress=told
    )
    best = (found.best.method, found.best.layer)
    kept = tuple(
        replace(one, maps={best: one.maps[best]}, random_maps={best: one.random_maps[best]}) for one in found.examples
    )
    return replace(found, examples=kept), found.sentence


def keep_split(content: bytes, name: str, settings: Settings) -> Path:
    """Keep a split that was handed in where the process that audits it finds it, under its digest; return the place.

    Raises
    ------
    SplitError
        It is none.
    """
    parse_split(content, name)
    suffix = ".json" if name.endswith(".json") else ".csv"
    place = settings.cache / "splits" / f"{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    with storage_errors(place):
        write_atomic(place, content)
    return place


def _audit(asked: _Asked) -> tuple[SplitAudit, str]:
    split, path = None, Path(asked.parameters.checkpoint)
    if asked.parameters.checkpoint:
        if not path.is_file() or digest_file(path) != asked.parameters.sha256:
            raise DataError(f"{path} is no longer the split that was asked about; ask anew.")
        split = read_split(path, asked.settings)
    elif not any(study.phase for study in asked.cohort):
        raise SplitError(
            f"{asked.cohort.root} was read as {asked.cohort.layout!r}, which has no TRAIN, VAL and TEST folders, and so no "
            "split; name such a tree, or give the split itself as a CSV or a split.json."
        )
    report = audit_split(asked.cohort, split, asked.settings, progress=asked.progress("reading pixels"))
    both = len(report.findings)
    sentence = f"{both} findings on both sides of the split" if both else "nothing stands on both sides of the split"
    return SplitAudit(report=report, by_slice=isinstance(split, Split) and split.leaky), sentence


MEASURES: dict[str, Callable[[_Asked], tuple[Any, str]]] = {
    LEAK: _leak,
    SHORTCUTS: _shortcuts,
    FROZEN: _frozen,
    MAPS: _maps,
    AUDIT: _audit,
}
"""How each kind is measured."""
