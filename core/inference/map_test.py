"""What a test of a checkpoint's maps found: plain values, cheap to import."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation.figure import Figure

__all__ = ["MapExample", "MapScore", "MapTest"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapScore:
    """One method at one layer."""

    method: str
    layer: str
    hits: Figure | None
    """Pointing game: share of pictures whose map is strongest inside the tumour; None where the tumour is not known."""
    inside: Figure | None
    """Mean share of the map's sum that lies inside the tumour."""
    random_hits: Figure | None
    """The pointing game of the same network with every weight at random."""
    random_inside: Figure | None
    similarity: tuple[float, ...]
    """Mean structural similarity (SSIM, -1..1) of the map with that of the network randomised from the head down to
    each of ``MapTest.stages``: near 1 means that the map does not depend on the weights that were replaced."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapExample:
    """One picture with its maps, for the eye."""

    study_id: str
    sequence: str
    slice_index: int
    picture: NDArray[np.uint8]
    tumour: NDArray[np.bool_] | None
    maps: dict[tuple[str, str], NDArray[np.float32]]
    """By (method, layer): 0..1."""
    random_maps: dict[tuple[str, str], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapTest:
    """What was found."""

    checkpoint: str
    studies: int
    pictures: int
    chance: Figure | None
    """Pointing game of a place drawn at random inside the head: the tumour's share of it."""
    stages: tuple[str, ...]
    """Parts of the network in the order in which they are randomised, each on top of those before."""
    scores: tuple[MapScore, ...]
    examples: tuple[MapExample, ...]

    @property
    def best(self) -> MapScore:
        """The score with the most hits; without truth, the one that depends most on the weights."""
        if self.chance is None:
            return min(self.scores, key=lambda score: score.similarity[-1])
        return max(self.scores, key=lambda score: (score.hits.value or 0.0) if score.hits else 0.0)

    def to_dict(self) -> dict[str, object]:
        """As in ``maps --json``."""
        return {
            "checkpoint": self.checkpoint,
            "studies": self.studies,
            "pictures": self.pictures,
            "chance": self.chance.to_dict() if self.chance else None,
            "stages": list(self.stages),
            "scores": [_score_dict(score) for score in self.scores],
            "best": {"method": self.best.method, "layer": self.best.layer},
        }


def _score_dict(score: MapScore) -> dict[str, object]:
    figures = {
        "hits": score.hits,
        "inside": score.inside,
        "random_hits": score.random_hits,
        "random_inside": score.random_inside,
    }
    return {
        "method": score.method,
        "layer": score.layer,
        **{name: figure.to_dict() if figure else None for name, figure in figures.items()},
        "similarity": list(score.similarity),
    }
