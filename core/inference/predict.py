"""From a study to an answer: which series can be asked, what the network says of each slice, and what to doubt."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from core.config import apply_settings
from core.data.frames_of_reference import warn_frames
from core.data.prepare.cache import load_prepared
from core.data.prepare.common_grid import pixel_spacing
from core.data.prepare.examples import PreparedSeries, list_seen
from core.data.prepare.source import prepare_source
from core.data.privacy import privacy_warnings
from core.data.select import Source, is_set_aside, select_sources
from core.data.study import Series, Study
from core.errors import DataError, SequenceError
from core.evaluation.aggregate import to_groups
from core.evaluation.calibration import to_probabilities
from core.evaluation.conformal import ConformalRule, predict_sets
from core.evaluation.figures import predict_classes
from core.inference.guard import inspect_images, inspect_study
from core.inference.prediction import Prediction, SeriesPrediction, SlicePrediction
from core.models.card import CheckpointCard
from core.models.checkpoint import load_model
from core.models.forward import choose_compute, score_images
from core.models.registry import find_architecture
from core.mri import MRSequence
from core.progress import Progress, silent
from core.settings import Settings

SYNTHETIC_WARNING = "This checkpoint knows only synthetic brains; its answer on a real scan means nothing."

SHUFFLED_WARNING = (
    "This checkpoint is a control: its labels were dealt out to the patients at random, so there was nothing to learn, and "
    "its answer means nothing."
)

GUESS_WARNING = (
    "That {series} is {sequence} is a guess: {reason}. Look at it; if it is another, assign it: UID=SEQUENCE."
)
UNNAMED_WARNING = (
    "The pictures do not say which MR sequence they are, and this checkpoint was trained on {known}; "
    "the answer holds only if they are one of these. Name the sequence if you know it."
)


class Predictor:
    """A checkpoint, loaded once and ready to answer; several sessions may share one.

    Attributes
    ----------
    path
        The checkpoint's file.
    model
        The network, float32, in eval mode, on the best device there is.
    card
        What the checkpoint says of itself.
    lock
        Held while the network computes: use the model only under it.
    """

    def __init__(self, path: Path) -> None:
        """Load a checkpoint; raises CheckpointError where it is missing, damaged or of another schema."""
        model, card = load_model(path)
        self.path = path
        self.card: CheckpointCard = card
        self.architecture = find_architecture(card.config.architecture)
        # The answer must not depend on what the training machine was good at.
        self.compute = choose_compute(apply_settings(card.config, {"device": "auto", "precision": "float32"}))
        self.model: nn.Module = model.to(self.compute.device)
        self.lock = threading.Lock()

    def predict(
        self, study: Study, *, synthetic: bool = False, cache: Settings | None = None, progress: Progress = silent
    ) -> Prediction:
        """Answer for one study.

        Every slice of every series that the checkpoint knows is asked (or every volume, as it was trained); the study's
        answer is the softmax of what their logits are combined to (as in training, usually the mean), divided by the
        card's temperature.

        Parameters
        ----------
        study
            The study; its label is not looked at.
        synthetic
            Whether it is known to be synthetic (``Cohort.synthetic``).
        cache
            The installation whose cache of prepared series may be used: for a cohort. None for an upload,
            which must leave nothing behind.
        progress
            Called after each series.

        Returns
        -------
        Prediction
            With a warning for each thing that a person should know before believing it.

        Raises
        ------
        SequenceError
            No series is of a sequence that the checkpoint was trained on.
        DataError
            Those that are cannot be read.
        """
        started = time.perf_counter()
        sources, warnings = choose_sources(study, self.card)
        prep = self.card.config.prep
        scored: list[tuple[Source, PreparedSeries, NDArray[np.float64]]] = []
        failures: list[DataError] = []
        for done, source in enumerate(sources, start=1):
            name = " and ".join(str(series.sequence) for series in source)
            try:
                prepared = prepare_source(source, prep) if cache is None else load_prepared(source, prep, cache)
                scored.append((source, prepared, self.score_members(prepared)))
                warnings += [f"{name}: {Path(fault.path).name}: {fault.reason}" for fault in prepared.faults]
            except DataError as error:
                failures.append(error)
                warnings.append(f"{name} is left out: {error}")
            progress(done, len(sources), name)
        if not scored:
            raise failures[0]
        used = {one for source, prepared, _ in scored for one in _list_used(source, prepared)}
        warnings += _about_missing(study, self.card, used)
        for source, prepared, _ in scored:
            findings = (
                inspect_study(source, prepared, self.card)
                if prep.grid_mm
                else inspect_images(source[0], prepared, self.card)
            )
            warnings += [finding.sentence for finding in findings]
        by_member = self._combine(np.concatenate([part for _, _, part in scored], axis=1))
        combined = by_member.mean(axis=0, keepdims=True)
        answer = predict_classes(
            combined,
            positive_class=self.card.positive_class,
            threshold=self.card.threshold,
            temperature=self.card.temperature,
        )
        classes = to_probabilities(combined, self.card.temperature)[0]
        return Prediction(
            study_id=study.study_id,
            probability=float(classes[self.card.positive_class]),
            prediction=self.card.class_names[answer[0]],
            threshold=self.card.threshold,
            class_probabilities=tuple(float(value) for value in classes),
            series=tuple(self._answer(source, prepared, part.mean(axis=0)) for source, prepared, part in scored),
            warnings=(
                *_about_checkpoint(self.card, synthetic),
                *self._disagreement(by_member),
                *warnings,
                *privacy_warnings(study.series),
            ),
            seconds=time.perf_counter() - started,
            members=self._member_probabilities(by_member),
            **_possible_classes(self.card, classes),
        )

    @property
    def members(self) -> tuple[Predictor, ...]:
        """The networks that answer: this one alone, or those of an ensemble."""
        return (self,)

    def score_members(self, prepared: PreparedSeries) -> NDArray[np.float64]:
        """Logits (members, examples, classes) of what was prepared, to be divided by the card's temperature."""
        return self.score(prepared).astype(np.float64)[None]

    def _combine(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """From examples to the study, each member by its own aggregation: (members, examples, classes) -> (members, classes)."""
        rows = []
        for member, one in zip(self.members, logits, strict=True):
            config = member.card.config
            options = {"positive_class": self.card.positive_class, "k": config.top_k}
            rows.append(to_groups(one, np.full(len(one), "study"), config.aggregation, **options)[1][0])
        return np.stack(rows)

    def _member_probabilities(self, by_member: NDArray[np.float64]) -> tuple[float, ...]:
        """Each member's own answer, where there are several."""
        if len(by_member) == 1:
            return ()
        return tuple(
            float(one) for one in to_probabilities(by_member, self.card.temperature)[:, self.card.positive_class]
        )

    def _disagreement(self, by_member: NDArray[np.float64]) -> list[str]:
        """What is to be doubted where members come to different classes; a single network agrees with itself."""
        return []

    def score(self, prepared: PreparedSeries) -> NDArray[np.float32]:
        """Logits (examples, classes) of what was prepared."""
        with self.lock:
            return score_images(self.model, prepared.pixels, self.architecture, self.compute)

    def _answer(self, source: Source, prepared: PreparedSeries, logits: NDArray[np.float64]) -> SeriesPrediction:
        classes = to_probabilities(logits, self.card.temperature)
        prep, own = self.card.config.prep, str(source[0].sequence)
        slices = tuple(
            SlicePrediction(
                sequence=prepared.sequences[index] if prepared.sequences else own,
                slice_index=int(prepared.slice_index[index]),
                position_mm=float(prepared.position_mm[index]),
                file=prepared.files[index],
                probability=float(classes[index, self.card.positive_class]),
            )
            for index in range(len(logits))
        )
        return SeriesPrediction(
            series=source[0],
            prepared=prepared,
            slices=slices,
            seen=list_seen(prepared, prep, own),
            together=tuple(source) if prep.grid_mm else (),
            pixel_mm=pixel_spacing(prepared, prep) if prep.grid_mm else (1.0, 1.0),
        )


def _list_used(source: Source, prepared: PreparedSeries) -> list[MRSequence]:
    """Those of a source's sequences that could be used."""
    named = {name for names in prepared.sequences for name in names.split("+")}
    return [series.sequence for series in source if not named or str(series.sequence) in named]


def choose_sources(study: Study, card: CheckpointCard) -> tuple[list[Source], list[str]]:
    """Return the sources of a study that a checkpoint can answer for, as training selected them.

    Returns
    -------
    sources, warnings
        :func:`core.data.select.select_sources` with the card's preparation and of the sequences that the card knows; where
        there is none, loose images that do not say what they are. A sentence for each series that is left out.

    Raises
    ------
    SequenceError
        None is left.
    """
    prep = card.config.prep.model_copy(update={"sequences": card.sequences})
    selected = select_sources(study, prep)
    known = [source for source in selected if source[0].sequence in card.sequences]
    warnings = [] if known or not selected else [UNNAMED_WARNING.format(known=_join(card.sequences))]
    sources = known or selected
    used = [series for source in sources for series in source]
    for sequence in card.sequences:
        warnings += _about_choice(sequence, study, used)
    warnings += [
        f"{_describe(series)} is left out: {_reason(series, card)}"
        for series in study.series
        if series not in used and (is_set_aside(series) or series.sequence not in card.sequences)
    ]
    if not sources:
        found = _join(sorted({series.sequence for series in study.series})) or "no series"
        raise SequenceError(
            f"Study {study.study_id}: checkpoint {card.name!r} was trained on {_join(card.sequences)}, and the study "
            f"has {found}. {_remedy(study, card)}"
        )
    return sources, [*warnings, *(sentence for source in sources for sentence in warn_frames(source, prep))]


def _about_choice(sequence: MRSequence, study: Study, used: Sequence[Series]) -> list[str]:
    """Say which of several series of one sequence are used, and which are only guessed to be of it."""
    candidates = [one for one in study.series if one.sequence == sequence and not is_set_aside(one)]
    taken = [one for one in candidates if one in used]
    others = [f"{_describe(one)} ({len(one.files)} files)" for one in candidates if one not in used]
    guessed = [
        GUESS_WARNING.format(
            series=repr(one.description or one.series_uid), sequence=sequence, reason=one.sequence_reason
        )
        for one in taken
        if one.sequence_confidence == "guess"
    ]
    if len(candidates) < 2:
        return guessed
    if not others:
        return [*guessed, f"{sequence}: all {len(taken)} series are used, as in the training of this checkpoint."]
    why = taken[0].sequence_reason or "the first"
    return [
        *guessed,
        f"{sequence}: {len(candidates)} series; {_describe(taken[0])} ({len(taken[0].files)} files; {why}) is used, and left "
        f"out: {', '.join(others)}.",
    ]


def _reason(series: Series, card: CheckpointCard) -> str:
    if is_set_aside(series):
        return "it was set aside by you."
    if series.sequence == MRSequence.UNKNOWN:
        why = f" ({series.sequence_reason})" if series.sequence_reason else ""
        return f"it is not known to be {_join(card.sequences)}{why}."
    return f"the checkpoint was trained on {_join(card.sequences)} and never saw {series.sequence}."


def _remedy(study: Study, card: CheckpointCard) -> str:
    if study.series and all(is_set_aside(series) for series in study.series):
        return "All its series are set aside; assign one of these sequences to the right one."
    if set(card.sequences) == {MRSequence.UNKNOWN}:
        return (
            "It learnt from pictures that do not name their sequence: hand in such pictures, or train a checkpoint on "
            "a cohort that names them."
        )
    if all(series.sequence == MRSequence.UNKNOWN for series in study.series if not is_set_aside(series)):
        return "Name the sequence of the scan if you know it (--sequence), or hand in one that says what it is."
    return "Hand in one of those sequences, or train a checkpoint on the sequence at hand."


def _possible_classes(card: CheckpointCard, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    """The classes that a patient may be of, where the card was calibrated for it."""
    if not card.conformal:
        return {}
    rule = ConformalRule.from_dict(card.conformal)
    held = predict_sets(rule, probabilities[None, :])[0]
    names = tuple(name for name, inside in zip(card.class_names, held, strict=True) if inside)
    return {"possible": names, "possible_level": rule.level}


def _about_checkpoint(card: CheckpointCard, synthetic: bool) -> list[str]:
    warnings = [SYNTHETIC_WARNING] if card.synthetic and not synthetic else []
    if card.labels_shuffled:
        warnings.append(SHUFFLED_WARNING)
    if synthetic and not card.synthetic:
        warnings.append("This scan is synthetic, and the checkpoint was trained on real ones.")
    if card.split_unit == "slice":
        warnings.append(
            "This checkpoint was validated on slices of patients it was trained on (a split by slice, which leaks): "
            "its own figures do not say how well it does on a new patient."
        )
    return warnings


def _about_missing(study: Study, card: CheckpointCard, used: set[MRSequence]) -> list[str]:
    missing = [sequence for sequence in card.sequences if study.find(sequence) is None]
    if not missing or MRSequence.UNKNOWN in used:
        return []
    return [f"The study has no {_join(missing)}; the answer rests on {_join(sorted(used))} alone."]


def _describe(series: Series) -> str:
    return f"{series.sequence} ({series.description})" if series.description else str(series.sequence)


def _join(names: Sequence[str]) -> str:
    return ", ".join(str(name) for name in names)
