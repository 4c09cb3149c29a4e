"""Evaluate a run's best checkpoint: on its test patients, its validation patients, or another cohort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from core.audit.crosswalk import read_crosswalk
from core.audit.marks import mark_cohort
from core.audit.persons import Overlap, PersonMatches, drop_copies, drop_overlap, match_persons, read_pairs
from core.data.study import Cohort
from core.dataset.predictions import build_predictions
from core.dataset.slice_table import SliceTable
from core.dataset.table import build_table
from core.errors import EvaluationError, RunError, SequenceError
from core.files import digest_file
from core.inference.guard import count_refused
from core.models.card import CheckpointCard
from core.models.registry import find_architecture
from core.progress import Progress, silent
from core.runs.cohort import check_content, open_cohort
from core.runs.environment import name_code
from core.runs.evaluation import (
    EvaluatedPart,
    Evaluation,
    build_evaluation,
    correct_figures,
    digest_answers,
    store_evaluation,
)
from core.runs.folder import RunFolder, now
from core.runs.ledger import count_evaluations, number_look, record_evaluation
from core.runs.persons import known_persons, list_ledger_marks, mark_test_persons, marks_to_count, trace_persons
from core.settings import Settings

if TYPE_CHECKING:
    from torch import nn


SCORED_AT_ONCE = 256
"""Slices between two reports of progress."""
UNKNOWN_PERSONS = (
    "Whether its persons are the run's own patients could not be checked: the run keeps no marks of them, and the data that "
    "it was trained on are not where they were."
)


def evaluate_run(
    run: RunFolder,
    part: Literal["test", "val"],
    settings: Settings,
    other: Cohort | None = None,
    progress: Progress = silent,
    *,
    partition: str = "",
    crosswalk: Path | None = None,
    pairs: Path | None = None,
) -> Evaluation:
    """Evaluate a run's best checkpoint on patients, and store the result in the run's folder.

    An evaluation of the run's test patients, or of another cohort, is written into the ledger before any figure is
    returned. One of the validation patients is not: they chose the epoch, the threshold and the temperature already.

    Parameters
    ----------
    run
        A run with a finished epoch.
    part
        Which patients of the run's own cohort; not used with `other`.
    settings
        Where cache and ledger live.
    other
        Another cohort, all of whose labelled studies are evaluated but those of the run's own patients: external validation.
    progress
        Called with slices scored.
    partition
        For a fold of a cross-validation: the name of its partition, for the ledger.
    crosswalk
        With `other`, a table of ids that are one person (:func:`core.audit.crosswalk.read_crosswalk`).
    pairs
        With `other`, a table that says of pairs which only look the same whether they are one person; those that are
        still open are written there (:func:`core.audit.persons.drop_overlap`).

    Raises
    ------
    EvaluationError
        The part is empty, the data have changed since the split, or the classes of `other` mean something else.
    SequenceError
        `other` holds none of the sequences that the checkpoint was trained on.
    OverlapError
        All persons of `other` are the run's own patients, or some may be and nobody has said whether they are.
    RunError
        The run has no checkpoint yet.
    """
    from core.models.checkpoint import load_model

    if not run.checkpoint.exists():
        raise RunError(f"{run.name} has no checkpoint yet; it comes with its first finished epoch.")
    model, card = load_model(run.checkpoint)
    overlap, seen = (
        (None, ()) if other is None else _without_own(run, other, card, settings, progress, crosswalk, pairs)
    )
    cohort = overlap.cohort if overlap else open_cohort(run.source, progress, settings)
    table = build_table(cohort, card.config.prep, settings, progress=progress)
    if other is None:
        rows, digest, notes = _own_rows(run, card, table, cohort, part)
    else:
        rows, notes = _other_rows(run.name, table, cohort, card)
        digest = other.digest
    evaluated: EvaluatedPart = part if other is None else "data"
    evaluation = _evaluate_rows(model, card, cohort, table, rows, settings, progress, part=evaluated, notes=notes)
    evaluation = replace(evaluation, overlap=overlap.to_dict() if overlap else None)
    if evaluated != "val":
        counted = frozenset(seen)
        if other is None:
            evaluation = replace(evaluation, history=trace_persons(run, settings).to_dict())
            seen = tuple(mark for marks in mark_test_persons(run).values() for mark in marks)
            counted = marks_to_count(run, settings)
        of_cohort = cohort.digest if other is None else ""
        weights = digest_file(run.checkpoint)
        record_evaluation(
            digest,
            run.name,
            settings,
            cohort_digest=of_cohort,
            partition=partition,
            persons=seen,
            model=weights,
            code=name_code(),
            answers=digest_answers(evaluation.frame),
        )
        looked_at = count_evaluations(digest, settings, of_cohort, counted)
        look = number_look(digest, settings, of_cohort, counted, weights)
        evaluation = correct_figures(replace(evaluation, looked_at=looked_at), look)
    store_evaluation(run, evaluation, digest)
    return evaluation


def evaluate_cohort(checkpoint: Path, cohort: Cohort, settings: Settings, progress: Progress = silent) -> Evaluation:
    """Return the evaluation of a checkpoint on all labelled studies of a cohort; nothing is stored, nothing counted.

    Whether its patients are among them is for the caller to see to.

    Raises
    ------
    CheckpointError
        The file is damaged, or an ensemble.
    EvaluationError
        The cohort has no labels, is the one it was trained on, or its classes mean something else.
    SequenceError
        It holds none of the sequences that the checkpoint was trained on.
    """
    from core.models.checkpoint import load_model

    model, card = load_model(checkpoint)
    if cohort.digest == card.cohort_digest:
        raise EvaluationError(f"{cohort.root} is the cohort that {card.name} was trained on; name another one.")
    table = build_table(cohort, card.config.prep, settings, progress=progress)
    rows, notes = _other_rows(card.name, table, cohort, card)
    return _evaluate_rows(model, card, cohort, table, rows, settings, progress, part="data", notes=notes)


def _evaluate_rows(
    model: nn.Module,
    card: CheckpointCard,
    cohort: Cohort,
    table: SliceTable,
    rows: NDArray[np.int64],
    settings: Settings,
    progress: Progress,
    *,
    part: EvaluatedPart,
    notes: tuple[str, ...],
) -> Evaluation:
    labels = _labels(table, rows, card, cohort)
    evaluation = build_evaluation(
        card,
        build_predictions(table.rows.iloc[rows], _score(model, card, table, rows, progress)).assign(label=labels),
        part=part,
        data=str(cohort.root),
        leaky=card.split_unit == "slice" and part != "data",
        synthetic=cohort.synthetic,
        created=now(),
        notes=notes,
    )
    guard = count_refused(card, cohort, table.rows["study_id"].iloc[rows].unique(), settings)
    if guard is None:
        return evaluation
    note = f"The guard would have abstained from {guard['abstained']} of {guard['n']} studies; the figures count them all the same."
    return replace(evaluation, guard=guard, notes=(*evaluation.notes, note))


def _own_rows(
    run: RunFolder, card: CheckpointCard, table: SliceTable, cohort: Cohort, part: Literal["test", "val"]
) -> tuple[NDArray[np.int64], str, tuple[str, ...]]:
    split = run.split()
    if split.digest != card.split_digest:
        raise EvaluationError(
            f"The split of {run.name} was changed after it was trained (digest {split.digest}, in its checkpoint "
            f"{card.split_digest}): its test patients are not those that were set aside. Restore split.json, or train anew."
        )
    if split.cohort_digest != cohort.digest:
        raise EvaluationError(
            f"{cohort.root} is no longer what {run.name} was split on (digest {cohort.digest}, then "
            f"{split.cohort_digest}); restore the data, or evaluate them as another cohort with --data."
        )
    check_content(run, table.content_digest)
    rows = split.indices(table, part)
    if len(rows) == 0:
        raise EvaluationError(f"The {part} part of {run.name} is empty; evaluate another part, or another cohort.")
    return rows, split.test_digest, ()


def _without_own(
    run: RunFolder,
    other: Cohort,
    card: CheckpointCard,
    settings: Settings,
    progress: Progress,
    crosswalk: Path | None,
    pairs: Path | None,
) -> tuple[Overlap, tuple[str, ...]]:
    """Return another cohort without copies and the run's own patients, and marks of those who are left; raise where it is the run's own."""
    if other.digest == card.cohort_digest:
        raise EvaluationError(
            f"{other.root} is the cohort that {run.name} was trained on; evaluate its untouched patients with --part test."
        )
    own = known_persons(run, settings, progress)
    theirs = mark_cohort(other, settings, among=own.sequences if own else card.sequences, every=True, progress=progress)
    alone, theirs, copies = drop_copies(other, theirs)
    matches = (
        match_persons(
            own,
            theirs,
            crosswalk=read_crosswalk(crosswalk) if crosswalk else None,
            pairs=read_pairs(pairs) if pairs else None,
        )
        if own
        else PersonMatches(matches=(), compared=(0, len(theirs.persons)), unchecked=(UNKNOWN_PERSONS,))
    )
    overlap = replace(drop_overlap(alone, matches, pairs), copies=copies)
    gone = {match.person for match in overlap.dropped}
    rest = [one for one in theirs.persons if one.person not in gone]
    return overlap, list_ledger_marks(rest, (other.digest, theirs.family))


def _other_rows(
    name: str, table: SliceTable, cohort: Cohort, card: CheckpointCard
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    labelled = table.rows["label"].to_numpy() >= 0
    if not labelled.any():
        raise EvaluationError(f"{cohort.root} has no labels to evaluate by; name a table of labels with --labels.")
    seen = {str(sequence) for sequence in card.sequences}
    known = table.rows["sequence"].map(lambda names: set(names.split("+")) <= seen).to_numpy(dtype=bool)
    unseen = sorted(set(table.rows["sequence"][labelled & ~known]))
    if not (labelled & known).any():
        raise SequenceError(
            f"{name} was trained on {', '.join(card.sequences)}; {cohort.root} holds only {', '.join(unseen)}."
        )
    notes = [f"Left out, because the checkpoint has never seen them: {', '.join(unseen)}."] if unseen else []
    return np.flatnonzero(labelled & known).astype(np.int64), tuple(notes)


def _labels(table: SliceTable, rows: NDArray[np.int64], card: CheckpointCard, cohort: Cohort) -> NDArray[np.int64]:
    """Labels in the checkpoint's order of classes: another cohort may list the same names in another order."""
    theirs, ours = table.class_names, card.class_names
    same_meaning = sorted(theirs) == sorted(ours) and theirs[table.positive_class] == ours[card.positive_class]
    if not same_meaning:
        raise EvaluationError(
            f"The labels of {cohort.root} mean {' / '.join(theirs)} (positive: {theirs[table.positive_class]}), those of "
            f"the checkpoint {' / '.join(ours)} (positive: {ours[card.positive_class]}); name the classes alike."
        )
    order = np.array([ours.index(name) for name in theirs])
    return order[table.rows["label"].to_numpy(dtype=np.int64)[rows]]


def _score(
    model: nn.Module, card: CheckpointCard, table: SliceTable, rows: NDArray[np.int64], progress: Progress
) -> NDArray[np.float32]:
    from core.models.forward import choose_compute, place_model, score_images

    compute = choose_compute(card.config)
    architecture = find_architecture(card.config.architecture)
    model = place_model(model, compute)
    pieces = []
    for start in range(0, len(rows), SCORED_AT_ONCE):
        images = table.images(rows[start : start + SCORED_AT_ONCE])
        pieces.append(score_images(model, images, architecture, compute))
        progress(start + len(images), len(rows), "slices")
    return np.concatenate(pieces)
