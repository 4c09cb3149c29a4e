"""Prediction with an ensemble: its members score the same prepared images, and their calibrated logits are averaged."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.prepare.examples import PreparedSeries
from core.evaluation.calibration import to_probabilities
from core.evaluation.figures import predict_classes
from core.inference.guard import Distance, Features
from core.inference.predict import Predictor
from core.inference.runtimes import Runtime
from core.models.card import ENSEMBLE, read_as_today, read_ensemble


def open_predictor(path: Path, *, runtime: Runtime = "auto", threads: int | None = None) -> Predictor:
    """Load a checkpoint or an ensemble, whichever the file is; it may use so many processor cores.

    Raises
    ------
    CheckpointError
        It is missing or damaged, or a member of it is.
    """
    return (Ensemble if path.name == ENSEMBLE else Predictor)(path, runtime=runtime, threads=threads)


class Ensemble(Predictor):
    """Several networks on the same images; see :mod:`core.models.ensemble` for how their answers are joined.

    ``engine`` and ``architecture`` are the first member's. A map is the mean of the members' maps: the gradient of the mean
    of their log odds is the mean of their gradients.
    """

    def __init__(self, path: Path, *, runtime: Runtime = "auto", threads: int | None = None) -> None:
        """Load every member; raises CheckpointError where one is missing or damaged."""
        files, card = read_ensemble(path)
        self.path = path
        self.card = read_as_today(card)
        self._members = tuple(Predictor(file, runtime=runtime, threads=threads) for file in files)
        first = self._members[0]
        self.architecture, self.engine = first.architecture, first.engine
        self.lock = threading.Lock()

    @property
    def members(self) -> tuple[Predictor, ...]:
        """The networks that answer."""
        return self._members

    def measure_distance(self, series: Features) -> Distance | None:
        """The median of its members' distances, by the share of each one's limit; None where none has limits."""
        found = [one for member in self._members if (one := member.measure_distance(series)) is not None]
        return sorted(found, key=lambda one: one.value / max(one.limit, 1e-9))[len(found) // 2] if found else None

    def score_members(self, prepared: PreparedSeries) -> NDArray[np.float64]:
        """Logits (members, examples, classes), each member's divided by its own temperature."""
        return np.stack([member.score(prepared) / member.card.temperature for member in self._members]).astype(
            np.float64
        )

    def score(self, prepared: PreparedSeries) -> NDArray[np.float32]:
        """Mean over the members of their calibrated logits: (examples, classes)."""
        return self.score_members(prepared).mean(axis=0).astype(np.float32)

    def _disagreement(self, by_member: NDArray[np.float64]) -> list[str]:
        names = self.card.class_names
        called = [
            int(predict_classes(one[None], positive_class=self.card.positive_class, threshold=member.card.threshold)[0])
            for member, one in zip(self._members, by_member, strict=True)
        ]
        if len(set(called)) == 1:
            return []
        counts = " and ".join(f"{called.count(index)} {names[index]}" for index in sorted(set(called)))
        sure = to_probabilities(by_member)[:, self.card.positive_class]
        return [
            f"The {len(called)} members of this ensemble do not agree: {counts}, each at its own threshold; their "
            f"probabilities of {names[self.card.positive_class]} run from {sure.min():.2f} to {sure.max():.2f}. Other "
            "training patients would have given another answer."
        ]
