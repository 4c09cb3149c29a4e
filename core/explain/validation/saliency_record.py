"""The test of a checkpoint's map, kept on its card: so that a map is never shown without what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.errors import ConfigError
from core.evaluation.figure import Figure
from core.explain.methods import INPUT, METHODS
from core.explain.validation.saliency_result import MapTest
from core.files import write_atomic
from core.models.card import CheckpointCard, replace_card
from core.models.card_text import describe_card
from core.models.registry import find_architecture

KEPT = ("hits", "near_hits", "random_hits")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMapTest:
    """What a card says of one method at one layer."""

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


def read_map_test(card: CheckpointCard) -> KeptMapTest | None:
    """Return the test that a card keeps; None where there is none that can be read, or of a method that this version lacks."""
    try:
        test = TypeAdapter(KeptMapTest).validate_python(card.map_test)
    except ValidationError:  # a checkpoint may come from anywhere
        return None
    return test if test.method in METHODS else None


def first_map(card: CheckpointCard) -> tuple[str, str]:
    """Return the method and layer to begin with: those that were put to the test, or Grad-CAM at the usual layer."""
    layers = find_architecture(card.config.architecture).layers
    test = read_map_test(card)
    if test is None or test.layer not in (*layers, INPUT):
        return next(iter(METHODS)), layers[0]
    return test.method, layers[0] if test.layer == INPUT else test.layer


def keep_map_test(path: Path, found: MapTest) -> CheckpointCard:
    """Write the test of one map into a checkpoint's card, and into the Markdown beside it where there is one.

    Parameters
    ----------
    path
        The .safetensors file; its tensors stay as they are.
    found
        A test of one method at one layer, so chosen beforehand: the best of several would flatter.

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
    figures = {"chance": found.chance, **{name: getattr(score, name) for name in KEPT}}
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
