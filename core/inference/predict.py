"""Prediction for one study: select series, run inference, collect warnings."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.prepare.cache import load_prepared
from core.data.prepare.common_grid import pixel_spacing
from core.data.prepare.examples import PreparedSeries, list_seen
from core.data.prepare.slices import prepare_source
from core.data.privacy import privacy_warnings
from core.data.select import Source
from core.data.study import Study
from core.dataset.picture_features import measure_source
from core.errors import DataError
from core.evaluation.aggregate import to_groups
from core.evaluation.calibration import to_probabilities
from core.evaluation.conformal import ConformalRule, predict_sets
from core.evaluation.figures import predict_classes
from core.inference.engine import Engine
from core.inference.guard import Distance, Features, judge, read_limits
from core.inference.ood import check_sources
from core.inference.prediction import Prediction, SeriesPrediction, SlicePrediction
from core.inference.runtimes import Runtime, open_engine
from core.inference.sources import choose_sources, warn_missing
from core.models.card import CheckpointCard, read_as_today, read_card
from core.models.registry import find_architecture
from core.mri import MRSequence
from core.progress import Progress, silent
from core.settings import Settings

if TYPE_CHECKING:
    from torch import nn

SYNTHETIC_WARNING = "This checkpoint knows only synthetic brains; its answer on a real scan means nothing."

BF16_WARNING = "Computed in bfloat16: the probability may differ in the third decimal from what float32 gives."

SHUFFLED_WARNING = (
    "This checkpoint is a control: its labels were dealt out to the patients at random, so there was nothing to learn, and "
    "its answer means nothing."
)


class Predictor:
    """A checkpoint, loaded once and ready to answer; several sessions may share one.

    Attributes
    ----------
    path
        The checkpoint's file.
    card
        What the checkpoint says of itself.
    architecture
        Its network's entry in the registry.
    engine
        What runs the network.
    lock
        Held while the network computes: use the engine only under it.
    """

    engine: Engine

    def __init__(self, path: Path, *, runtime: Runtime = "auto", threads: int | None = None) -> None:
        """Load a checkpoint; raises CheckpointError where it is missing, damaged or of another schema."""
        card = read_card(path)
        self.path = path
        self.card: CheckpointCard = read_as_today(card)
        self._limits = read_limits(self.card)
        self.engine = open_engine(path, card, runtime, threads)
        self.architecture = find_architecture(card.config.architecture)
        self.lock = threading.Lock()

    @property
    def model(self) -> nn.Module:
        """The network, where PyTorch runs it; raises CheckpointError."""
        return self.engine.model

    def predict(
        self, study: Study, *, synthetic: bool = False, cache: Settings | None = None, progress: Progress = silent
    ) -> Prediction:
        """Return the answer for one study.

        Every prepared slice (or volume) of the selected series is scored. The study's probability is the softmax of its
        aggregated logits (by the run's aggregation, usually the mean), divided by the card's temperature.

        Parameters
        ----------
        study
            The study; its label is not used.
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
            With its warnings.

        Raises
        ------
        SequenceError
            No series is of a sequence that the checkpoint was trained on.
        DataError
            Those that are cannot be read.
        """
        started = time.perf_counter()
        sources, warnings = choose_sources(study, self.card)
        scored, faults = self._score_sources(sources, cache, progress)
        warnings += faults
        warnings += warn_missing(study, self.card, {name for one in scored for name in one.sequences})
        checks = check_sources([(one.source, one.prepared) for one in scored], self.card)
        warnings += [check.sentence for check in checks]
        distance = self.measure_distance([part for one in scored for part in measure_source(one.source, one.prepared)])
        guard, reason = judge(checks, distance, self.card, synthetic=synthetic)
        by_member = self._combine(np.concatenate([one.logits for one in scored], axis=1))
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
            series=tuple(self._describe(one) for one in scored),
            warnings=(
                *_about_checkpoint(self.card, synthetic),
                *([BF16_WARNING] if self.engine.runtime == "bf16" else []),
                *([] if guard == "abstained" else self._disagreement(by_member)),  # which names numbers
                *warnings,
                *privacy_warnings(study.series),
            ),
            seconds=time.perf_counter() - started,
            members=self._member_probabilities(by_member),
            guard=guard,
            reason=reason,
            **_possible_classes(self.card, classes),
        )

    def _score_sources(
        self, sources: Sequence[Source], cache: Settings | None, progress: Progress
    ) -> tuple[list[_Scored], list[str]]:
        """Prepare and score each source; one that cannot be prepared is left out with a warning.

        Raises
        ------
        DataError
            None can be prepared; the first reason is given.
        """
        prep = self.card.config.prep
        scored: list[_Scored] = []
        failures: list[DataError] = []
        warnings: list[str] = []
        for done, source in enumerate(sources, start=1):
            name = " and ".join(str(series.sequence) for series in source)
            try:
                prepared = prepare_source(source, prep) if cache is None else load_prepared(source, prep, cache)
                scored.append(_Scored(source=source, prepared=prepared, logits=self.score_members(prepared)))
                warnings += [f"{name}: {Path(fault.path).name}: {fault.reason}" for fault in prepared.faults]
            except DataError as error:
                failures.append(error)
                warnings.append(f"{name} is left out: {error}")
            progress(done, len(sources), name)
        if not scored:
            raise failures[0]
        return scored, warnings

    def measure_distance(self, series: Features) -> Distance | None:
        """How far a study lies from the training images; None where the card has no limits."""
        return self._limits.measure(series) if self._limits else None

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
        """Return a warning where members predict different classes; none for a single network."""
        return []

    def score(self, prepared: PreparedSeries) -> NDArray[np.float32]:
        """Logits (examples, classes) of what was prepared."""
        with self.lock:
            return self.engine.score(prepared.pixels)

    def _describe(self, scored: _Scored) -> SeriesPrediction:
        """The answers for a source's examples: of an ensemble, by the mean of its members' logits."""
        source, prepared = scored.source, scored.prepared
        classes = to_probabilities(scored.logits.mean(axis=0), self.card.temperature)
        prep, own = self.card.config.prep, str(source[0].sequence)
        slices = tuple(
            SlicePrediction(
                sequence=prepared.sequences[index] if prepared.sequences else own,
                slice_index=int(prepared.slice_index[index]),
                position_mm=float(prepared.position_mm[index]),
                file=prepared.files[index],
                probability=float(classes[index, self.card.positive_class]),
            )
            for index in range(len(classes))
        )
        return SeriesPrediction(
            series=source[0],
            prepared=prepared,
            slices=slices,
            seen=list_seen(prepared, prep, own),
            together=tuple(source) if prep.grid_mm else (),
            pixel_mm=pixel_spacing(prepared, prep) if prep.grid_mm else (1.0, 1.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scored:
    """A source that was prepared and scored."""

    source: Source
    prepared: PreparedSeries
    logits: NDArray[np.float64]
    """(members, examples, classes)."""

    @property
    def sequences(self) -> list[MRSequence]:
        """Those of the source's sequences that could be used."""
        named = {name for names in self.prepared.sequences for name in names.split("+")}
        return [series.sequence for series in self.source if not named or str(series.sequence) in named]


def _possible_classes(card: CheckpointCard, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    """Return the conformal set of classes, where the card was calibrated for it."""
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
