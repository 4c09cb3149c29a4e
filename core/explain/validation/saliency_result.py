"""Results of testing a checkpoint's maps: plain values, readable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from core.evaluation.figure import Figure
from core.stored_arrays import StoredArray

FIGURES = (
    "hits", "inside", "random_hits", "random_inside", "near_hits", "random_near_hits", "changed_hits", "changed_inside",
    "random_changed_hits", "road", "random_road",
)  # fmt: skip
CHANCES = ("chance", "near_chance", "changed_chance")

MapName = Annotated[
    tuple[str, str], BeforeValidator(lambda name: tuple(name.split(",")) if isinstance(name, str) else name)
]
"""Method and layer; "method,layer" as a key of a JSON document."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapScore:
    """One method at one layer."""

    method: str
    layer: str
    hits: Figure | None
    """Pointing game: share of images whose map is strongest inside the tumour; None where the tumour is not known."""
    inside: Figure | None
    """Mean share of the map's sum that lies inside the tumour."""
    random_hits: Figure | None
    """The pointing game of the same network with every weight at random."""
    random_inside: Figure | None
    near_hits: Figure | None
    """The pointing game with a tolerance: strongest inside the tumour or within ``MapTest.tolerance_px`` of it."""
    random_near_hits: Figure | None
    changed_hits: Figure | None
    """The pointing game against the pixels that the biomarker alone changes (the counterfactual pair)."""
    changed_inside: Figure | None
    random_changed_hits: Figure | None
    road: Figure | None
    """ROAD: half the difference in log-odds between taking away what the map marks least and most; above 0, the answer
    rests on what is marked. None for volumes and several channels."""
    random_road: Figure | None
    """ROAD of the random network's maps, evaluated on the trained network."""
    similarity: tuple[Figure, ...]
    """Mean structural similarity (SSIM, -1..1) of the map with that of the network randomised from the head down to
    each of ``MapTest.stages``: near 1 means that the map does not depend on the weights that were replaced."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapExample:
    """One image with its maps."""

    study_id: str
    sequence: str
    slice_index: int
    image: Annotated[NDArray[np.uint8], StoredArray()]
    tumour: Annotated[NDArray[np.bool_], StoredArray()] | None
    changed: Annotated[NDArray[np.bool_], StoredArray()] | None
    """What the biomarker alone changes."""
    maps: dict[MapName, Annotated[NDArray[np.float32], StoredArray()]]
    """By (method, layer): 0..1."""
    random_maps: dict[MapName, Annotated[NDArray[np.float32], StoredArray()]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapTest:
    """Results for all methods and layers."""

    checkpoint: str
    studies: int
    images: int
    volumes: bool
    """The images are volumes, and a map points at one of their voxels."""
    tolerance_px: float
    """Of the pointing game with a tolerance, in pixels of the image."""
    chance: Figure | None
    """Pointing game of a place drawn at random inside the head: the tumour's share of it."""
    near_chance: Figure | None
    """The same with the tolerance."""
    changed_chance: Figure | None
    """The same against what the biomarker changes."""
    moved: Figure | None
    """Share of images whose answer moves the biomarker's way when only the biomarker is changed: whether the network
    reads the trait at all, whatever its maps show."""
    stages: tuple[str, ...]
    """Parts of the network in the order in which they are randomised, each on top of those before."""
    scores: tuple[MapScore, ...]
    examples: tuple[MapExample, ...]

    @property
    def best(self) -> MapScore:
        """The score with the most hits, of equals with the most near ones; without truth, the one that depends most on the
        weights."""
        if self.chance is None:
            return min(self.scores, key=lambda score: score.similarity[-1].value or 0.0)
        return max(
            self.scores, key=lambda score: tuple(_value(one) for one in (score.hits, score.near_hits, score.inside))
        )

    @property
    def sentence(self) -> str:
        """How often the best map points at the tumour, and what chance would."""
        best, n = self.best, f"n = {self.images} images of {self.studies} studies"
        name = f"{best.method} at {best.layer}"
        if self.chance is None or best.hits is None:
            return f"{name} depends most on what was learnt; the tumours' places are not known ({n})"
        random = "" if best.random_hits is None else f", of a random network {best.random_hits.value:.2f}"
        return (
            f"{name} is strongest inside the tumour in {best.hits.value:.2f}; a random place in {self.chance.value:.2f}{random} "
            f"({n}; the best of {len(self.scores)} maps on these images)"
        )

    def to_dict(self) -> dict[str, object]:
        """As in ``maps --json``."""
        return {
            "checkpoint": self.checkpoint,
            "studies": self.studies,
            "pictures": self.images,
            "volumes": self.volumes,
            "tolerance_px": self.tolerance_px,
            **{name: _figure_dict(getattr(self, name)) for name in (*CHANCES, "moved")},
            "stages": list(self.stages),
            "scores": [_score_dict(score) for score in self.scores],
            "best": {"method": self.best.method, "layer": self.best.layer},
        }


def _value(figure: Figure | None) -> float:
    return 0.0 if figure is None or figure.value is None else figure.value


def _score_dict(score: MapScore) -> dict[str, object]:
    return {
        "method": score.method,
        "layer": score.layer,
        **{name: _figure_dict(getattr(score, name)) for name in FIGURES},
        "similarity": [_figure_dict(figure) for figure in score.similarity],
    }


def _figure_dict(figure: Figure | None) -> dict[str, object] | None:
    return None if figure is None else dict(figure.to_dict())
