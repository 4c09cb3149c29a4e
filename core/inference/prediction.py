"""Predictions and maps as plain values, cheap to import."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.data.prepare.examples import PreparedSeries, SeenSlice
from core.data.study import Series
from core.figure_text import number_text

GuardState = Literal["passed", "abstained", "not checked"]
"""What the guard (:mod:`core.inference.guard`) said of a scan; "not checked" where nothing spoke against it, and the
checkpoint has no measured limits to hold it against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePrediction:
    """The answer for one example: a slice, or a volume of which the middle slice is named."""

    sequence: str
    """Several joined by "+" where the network saw them together."""
    slice_index: int
    """In the series' volume, or on the common grid."""
    position_mm: float
    file: str
    probability: float
    """Of the positive class, calibrated as the study's is."""

    def to_dict(self, shown: bool = True) -> dict[str, object]:
        """As in ``predict --json``; an image without geometry has ``position_mm`` None, one not shown no probability."""
        return {
            "sequence": str(self.sequence),
            "index": self.slice_index,
            "file": self.file,
            "position_mm": round(self.position_mm, 3) if math.isfinite(self.position_mm) else None,
            "probability": self.probability if shown else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesPrediction:
    """The answers for the examples of one series, or of a study's on a common grid, with what went into the model."""

    series: Series
    """The first of those that were prepared together."""
    prepared: PreparedSeries
    slices: tuple[SlicePrediction, ...]
    """One per prepared example, in its order."""
    seen: tuple[SeenSlice, ...]
    """Every slice that the network saw; a volume has many in one example."""
    together: tuple[Series, ...] = ()
    """The series that were resampled to a common grid; empty for one in its own planes."""
    pixel_mm: tuple[float, float] = (1.0, 1.0)
    """On a common grid, distance between rows and columns of the prepared images."""

    def to_dict(self) -> dict[str, object]:
        """The series as in ``predict --json``; ``spacing_mm`` is between slices, rows and columns."""
        sequences = [str(series.sequence) for series in self.together or (self.series,)]
        return {
            "sequence": "+".join(sequences),
            "recognised_by": self.series.sequence_reason,
            "plane": str(self.series.plane),
            "spacing_mm": list(self.series.spacing_mm) if self.series.spacing_mm else None,
            "slices": self.prepared.slice_total,
            "blank_slices": self.prepared.blank_count,
            "used_slices": len(self.seen),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherAnswer:
    """What another checkpoint says of the same study."""

    checkpoint: str
    prediction: str = ""
    """Name of the class; empty where it gives no answer."""
    probability: float | None = None
    """Of its positive class; None where it gives no answer."""

    def describe(self, prediction: str) -> str:
        """In one sentence beside an answer of the class `prediction`."""
        number = "" if self.probability is None else f" ({number_text(self.probability)})"
        if not self.prediction:
            return f"{self.checkpoint} gives no answer for this study."
        if self.prediction == prediction:
            return f"{self.checkpoint} says the same of this study{number}."
        return f"{self.checkpoint} says otherwise of this study: {self.prediction}{number}. They cannot both be right."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """The answer for one study; whoever shows it asks first whether the guard :attr:`abstained`."""

    study_id: str
    probability: float
    """Of the positive class: softmax of what the slices' logits are combined to (usually their mean), divided by the card's
    temperature."""
    prediction: str
    """Name of the class at the card's threshold."""
    threshold: float
    class_probabilities: tuple[float, ...]
    series: tuple[SeriesPrediction, ...]
    warnings: tuple[str, ...]
    seconds: float
    possible: tuple[str, ...] | None = None
    """The classes that this patient may be of, at ``possible_level``: all of them, or none, means "cannot tell". None
    where the checkpoint was not calibrated for it."""
    possible_level: float = 0.9
    """Share of the patients of each class whose set holds it, as promised by calibration on validation patients."""
    members: tuple[float, ...] = ()
    """Of an ensemble: what each member says by itself, as ``probability``; empty for a single network."""

    guard: GuardState = "not checked"
    reason: str = ""
    """Why the guard abstains, and what to do; empty where it does not."""

    others: tuple[OtherAnswer, ...] = ()
    """What other checkpoints say of the study, where somebody asked them."""

    @property
    def disputed(self) -> bool:
        """Whether another checkpoint says otherwise."""
        return any(other.prediction not in ("", self.prediction) for other in self.others)

    @property
    def abstained(self) -> bool:
        """Whether the guard refuses the scan: no number of it is shown then, unless a person asks for it anyway."""
        return self.guard == "abstained"

    @property
    def verdict(self) -> str:
        """The class, or "cannot tell" where the promised coverage leaves several classes, none, or another than the threshold."""
        return self.prediction if self.possible in (None, (self.prediction,)) else "cannot tell"

    @property
    def agreeing(self) -> int:
        """How many of :attr:`slices` lie on the study's side of the threshold; meant for two classes."""
        above = self.probability >= self.threshold
        return sum((piece.probability >= self.threshold) == above for piece in self.slices)

    @property
    def slices(self) -> tuple[SlicePrediction, ...]:
        """Every slice's answer, series after series."""
        return tuple(piece for part in self.series for piece in part.slices)

    def to_dict(self, anyway: bool = False) -> dict[str, object]:
        """As one of the studies in ``predict --json``: where the guard abstains, without numbers unless asked `anyway`."""
        shown = anyway or not self.abstained
        possible = None if self.possible is None else {"level": self.possible_level, "classes": list(self.possible)}
        return {
            "study_id": self.study_id,
            "abstained": self.abstained,
            "reason": self.reason,
            "guard": self.guard,
            "probability": self.probability if shown else None,
            "prediction": self.prediction if shown else None,
            "threshold": self.threshold,
            "class_probabilities": list(self.class_probabilities) if shown else None,
            "possible": possible if shown else None,
            "members": list(self.members) if shown else None,
            "series": [part.to_dict() for part in self.series],
            "slices": [piece.to_dict(shown) for piece in self.slices],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cam:
    """A class activation map of one example."""

    heat: NDArray[np.float32]
    """(size, size), of a volume (depth, size, size), of streams (streams, size, size); 0..1: scaled by the example's own
    maximum, so that it can be seen. :meth:`core.data.prepare.examples.SeenSlice.take` finds a slice's part."""
    raw_max: float
    """The maximum before scaling: compare it between slices; a weak map looks as strong as a strong one."""
    slice_index: int
    target_layer: str
    method: str
    target_class: int

    def of_slice(self, seen: SeenSlice) -> tuple[NDArray[np.float32], float]:
        """A slice's part of the map (size, size), scaled by its own maximum, and that maximum before scaling.

        Streams and the layers of a volume differ in strength: the parts' maxima tell by how much.
        """
        part: NDArray[np.float32] = seen.take(self.heat)
        strongest = float(part.max())
        return (part / np.float32(strongest) if strongest > 0 else part), self.raw_max * strongest
