"""External validation: one checkpoint on cohorts that it was not trained on, each kept as soon as it is evaluated.

``cohorts/NAME.json`` in the experiment's folder holds what was found on a cohort, with a key of all that it rests on. A
process that is killed leaves those that are done; the same question goes on with the next.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from core.data.study import Cohort
from core.errors import DataError, EvaluationError, MGMTLabError
from core.experiments.external.judged import describe_pool, judge_cohort, pool_cohorts
from core.experiments.external.overlap import SeenPersons, read_ties
from core.experiments.external.parameters import ExternalParameters, cohort_names, subject_name
from core.experiments.external.progress import kept_at
from core.files import digest_file, read_document, write_atomic
from core.jobs.experiment import Display, Experiment, Question, RunOptions
from core.models.card import read_card
from core.progress import Progress
from core.runs.cohort import open_cohort
from core.runs.evaluation import Evaluation, correct_figures, store_evaluation
from core.runs.folder import RunFolder
from core.runs.ledger import number_look, record_evaluation
from core.runs.persons import known_persons, list_ledger_marks
from core.settings import Settings
from core.training.evaluate import evaluate_cohort

OWN = "the checkpoint's own patients"
NO_RUN = (
    "Whether its persons are among those that the checkpoint was trained on was not checked: the file says nothing of them. "
    "Name its run instead, where it is at hand."
)
NO_MARKS = (
    "Whether its persons are the run's own patients could not be checked: the run keeps no marks of them, and the data that "
    "it was trained on are not where they were."
)


def evaluate_externally(
    experiment: Experiment, question: Question, options: RunOptions, settings: Settings, display: Display
) -> dict[str, Any]:
    """Evaluate the checkpoint on each cohort that is missing, and put all together.

    Every evaluation counts in the ledger; of a run it is kept in the run's folder too, where its claim sheet finds it.

    Returns
    -------
    dict
        ``sentence``; ``subject`` {"name", "checkpoint", "sha256", "run", "epoch", "synthetic"}; ``cohorts``, each as
        :func:`core.experiments.external.judged.judge_cohort` with ``digest`` and ``overlap``
        (:meth:`core.experiments.external.overlap.SeenPersons.drop_from`); ``mean``, ``prediction_interval``,
        ``tau_squared``, ``i_squared``; ``class_names``, ``positive_class``.

    Raises
    ------
    DataError
        The checkpoint's file is another one than was asked about.
    OverlapError
        Persons of two cohorts may be one, and nobody has said whether they are.
    MGMTLabError
        A cohort cannot be read or evaluated; those before it are kept.
    """
    parameters = ExternalParameters(**question.parameters)
    checkpoint = Path(parameters.checkpoint)
    if not checkpoint.is_file() or digest_file(checkpoint) != parameters.sha256:
        raise DataError(f"{checkpoint} is no longer the file that was asked about; ask anew under another --name.")
    card = read_card(checkpoint)
    torch.set_num_threads(settings.threads)
    run = RunFolder(Path(parameters.run)) if parameters.run else None
    watched = _Watch(experiment, display.progress("evaluating"))
    seen = SeenPersons(read_ties(parameters.crosswalk, parameters.pairs), settings, watched)
    own = None if run is None else known_persons(run, settings, watched)
    if own is not None:
        seen.add(OWN, own)
    told = "" if own is not None else NO_RUN if run is None else NO_MARKS
    names = cohort_names(parameters.cohorts)
    basis = parameters.sha256
    judged = []
    for number, (name, source) in enumerate(zip(names, parameters.cohorts, strict=True), start=1):
        watched.told = f"cohort {number} of {len(names)}, {name}"
        cohort = open_cohort(source, watched, settings)
        if cohort.digest == card.cohort_digest:
            raise EvaluationError(f"{name} is the cohort that {card.name} was trained on; name others only.")
        # What a cohort's figures rest on: itself, and everybody who was seen before it.
        basis = hashlib.sha256(f"{basis}|{cohort.digest}|{parameters.crosswalk}".encode()).hexdigest()[:16]
        place = kept_at(experiment, number)
        rest, overlap = seen.drop_from(cohort, name)
        found = _read_kept(place, basis)
        if found is None or not _is_of(found["overlap"], overlap):
            overlap["unchecked"] = [*([told] if told else []), *overlap["unchecked"]]
            evaluation = _evaluate(name, checkpoint, rest, settings, watched)
            known = seen.marks_of(name)
            marks = list_ledger_marks(known.persons, (cohort.digest, known.family))
            model = parameters.sha256
            looked_at = record_evaluation(cohort.digest, subject_name(parameters), settings, persons=marks, model=model)
            look = number_look(cohort.digest, settings, persons=marks, model=model)
            evaluation = correct_figures(replace(evaluation, looked_at=looked_at, overlap=overlap), look)
            if run is not None:
                store_evaluation(run, evaluation, cohort.digest)
            found = judge_cohort(name, evaluation)
            found |= {"digest": cohort.digest, "overlap": overlap, "basis": basis}
            write_atomic(place, json.dumps(found, indent=1))
        judged.append(found)
    pooled = pool_cohorts(judged)
    return {
        "subject": {
            "name": subject_name(parameters),
            "checkpoint": parameters.checkpoint,
            "sha256": parameters.sha256,
            "run": parameters.run,
            "epoch": card.epoch,
            "synthetic": card.synthetic,
        },
        "sentence": describe_pool(pooled, len(judged), "cohorts"),
        "cohorts": judged,
        **pooled.to_dict(),
        "class_names": list(card.class_names),
        "positive_class": card.positive_class,
        "synthetic": any(one["synthetic"] for one in judged),
    }


def _evaluate(name: str, checkpoint: Path, rest: Cohort, settings: Settings, progress: Progress) -> Evaluation:
    try:
        return evaluate_cohort(checkpoint, rest, settings, progress)
    except MGMTLabError as error:
        raise type(error)(f"{name}: {error}") from error


def _read_kept(place: Path, basis: str) -> dict[str, Any] | None:
    """What was found on a cohort before, if nothing that it rests on has changed."""
    try:
        content = read_document(place)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("basis") == basis else None


class _Watch:
    """Shows progress, and stops where somebody asked the experiment to."""

    def __init__(self, experiment: Experiment, progress: Progress) -> None:
        self._experiment = experiment
        self._progress = progress
        self.told = ""

    def __call__(self, done: int, total: int, what: str = "") -> None:
        if self._experiment.stop_file.exists():
            raise KeyboardInterrupt
        self._progress(done, total, self.told or what)


def _is_of(kept: Mapping[str, Any], overlap: Mapping[str, Any]) -> bool:
    """Whether a result that is kept left out the same persons."""
    return all(kept.get(name, []) == overlap[name] for name in ("persons", "copies"))
