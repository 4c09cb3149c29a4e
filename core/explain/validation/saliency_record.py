"""The test of a checkpoint's map as its card keeps it, so that a map is shown with what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.errors import ConfigError
from core.evaluation.figure import Figure
from core.explain.methods import INPUT, METHODS
from core.explain.validation.saliency_result import MapTest
from core.figure_text import value_text
from core.files import write_atomic
from core.models.card import CheckpointCard, replace_card
from core.models.card_text import describe_card
from core.models.registry import find_architecture

STORED = ("hits", "near_hits", "random_hits")


@dataclass(frozen=True, slots=True, kw_only=True)
class SaliencyRecord:
    """The figures of one method at one layer."""

    method: str
    layer: str
    pictures: int
    studies: int
    hits: Figure
    """Share of the maps that are strongest inside the tumour, of synthetic studies: no other data know the tumour's place."""
    random_hits: Figure
    """The same of the network with random weights."""
    chance: Figure
    """The same of a place drawn at random inside the head."""


def read_saliency_record(card: CheckpointCard) -> SaliencyRecord | None:
    """Return a card's record; None where there is none that can be read, or of a method that this version lacks."""
    try:
        test = TypeAdapter(SaliencyRecord).validate_python(card.map_test)
    except ValidationError:  # a checkpoint may come from anywhere
        return None
    return test if test.method in METHODS else None


def default_map(card: CheckpointCard) -> tuple[str, str]:
    """Return the method and layer to show first: those that were tested, or Grad-CAM at the usual layer."""
    layers = find_architecture(card.config.architecture).layers
    test = read_saliency_record(card)
    if test is None or test.layer not in (*layers, INPUT):
        return next(iter(METHODS)), layers[0]
    return test.method, layers[0] if test.layer == INPUT else test.layer


def map_worth(card: CheckpointCard, method: str, layer: str) -> str:
    """Return how often a map by a method at a layer hit the tumour where its place is known, or that nobody knows."""
    test = read_saliency_record(card)
    place = layer if METHODS[method].by_layer else INPUT
    if test is None or (test.method, test.layer) != (method, place):
        title = METHODS[method].title
        return f"Whether {title} at {place} points at what matters has not been tested for this checkpoint."
    learnt, chance, random = (value_text(figure, percent=True) for figure in (test.hits, test.chance, test.random_hits))
    return (
        f"This map points at the tumour in {_round(test.hits)} of pictures; chance {_round(test.chance)}. "
        f"Tested on {test.pictures} images of {test.studies} synthetic studies: strongest inside the tumour in {learnt}; a "
        f"place drawn at random in the head {chance}, the network with random weights {random}."
    )


def _round(figure: Figure) -> str:
    return "an unknown share" if figure.value is None else f"{figure.value:.0%}"


def store_saliency_record(path: Path, found: MapTest) -> CheckpointCard:
    """Write the test of one map into a checkpoint's card, and into the Markdown file beside it; return the card.

    Parameters
    ----------
    path
        The .safetensors file; its tensors stay as they are.
    found
        A test of one method at one layer, chosen beforehand: the best of several would be optimistic.

    Raises
    ------
    ConfigError
        Several were tested, or the data do not say where the tumours are.
    CheckpointError
        The file is damaged.
    StorageError
        It cannot be written.
    """
    if len(found.scores) != 1:
        raise ConfigError(
            f"{len(found.scores)} maps were tested, and the best of several looks better than it is; to keep a test, name one "
            "method and one layer beforehand."
        )
    if found.chance is None:
        raise ConfigError(
            "These data do not say where the tumours are, so there is no test to keep; take a synthetic cohort."
        )
    (score,) = found.scores
    figures = {"chance": found.chance, **{name: getattr(score, name) for name in STORED}}
    test: dict[str, Any] = {
        "method": score.method,
        "layer": score.layer,
        "pictures": found.images,
        "studies": found.studies,
        "tolerance_px": found.tolerance_px,
        **{name: figure.to_dict() for name, figure in figures.items()},
    }
    card = replace_card(path, lambda card: card.model_copy(update={"map_test": test}))
    words = path.with_suffix(".md")
    if words.exists():
        write_atomic(words, describe_card(card))
    return card
