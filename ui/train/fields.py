"""What a widget needs to know of each field of :class:`core.config.RunConfig`, read from the field itself."""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel

from core.config import RunConfig, field_paths
from core.mri import MRSequence

WORDS = {"px": "(px)", "degrees": "(degrees)", "val": "validation", "fraction": "(share)", "mm": "(mm)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """What a widget needs to know of one field."""

    name: str
    group: str
    kind: Literal["bool", "choice", "integer", "number", "sequences", "text"]
    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    path: tuple[str, ...] = field(default=())


def label_of(name: str) -> str:
    """The field's name as a person reads it: ``size_px`` becomes "Size (px)"."""
    text = " ".join(WORDS.get(word, word) for word in name.split("_"))
    return text[:1].upper() + text[1:]


def describe_fields(model: type[BaseModel] = RunConfig) -> dict[str, FieldSpec]:
    """One :class:`FieldSpec` for each leaf field of the configuration, in its order."""
    specs: dict[str, FieldSpec] = {}
    for name, path in field_paths(model).items():
        owner: type[BaseModel] = model
        for step in path[:-1]:
            annotation = owner.model_fields[step].annotation
            assert isinstance(annotation, type)
            assert issubclass(annotation, BaseModel)
            owner = annotation
        info = owner.model_fields[path[-1]]
        low, high = _bounds(info.metadata)
        kind, choices = _kind(info.annotation)
        specs[name] = FieldSpec(
            name=name,
            group=path[0] if len(path) > 1 else "",
            kind=kind,
            help=info.description or "",
            choices=choices,
            low=low,
            high=high,
            path=path,
        )
    return specs


def step_of(value: float) -> float:
    """A tenth to a whole of a value's first digit: 10 goes by 1, 0.05 by 0.01."""
    return min(1.0, 10.0 ** math.floor(math.log10(value)))


def _kind(
    annotation: Any,
) -> tuple[Literal["bool", "choice", "integer", "number", "sequences", "text"], tuple[str, ...]]:
    if get_origin(annotation) is Literal:
        return "choice", tuple(str(choice) for choice in get_args(annotation))
    if annotation is bool:
        return "bool", ()
    if annotation is int:
        return "integer", ()
    if annotation is float:
        return "number", ()
    if get_origin(annotation) is tuple and get_args(annotation)[0] is MRSequence:
        return "sequences", tuple(sequence.value for sequence in MRSequence if sequence is not MRSequence.UNKNOWN)
    if isinstance(annotation, types.UnionType) or annotation is not str:
        raise TypeError(f"no widget for a field of type {annotation}")
    return "text", ()


def _bounds(metadata: Sequence[Any]) -> tuple[float | None, float | None]:
    """Bounds as a widget takes them; an open bound is given as closed, and the configuration has the last word."""
    low = high = None
    for item in metadata:
        if isinstance(item, annotated_types.Ge):
            low = float(item.ge)  # type: ignore[arg-type]
        elif isinstance(item, annotated_types.Gt):
            low = float(item.gt)  # type: ignore[arg-type]
        elif isinstance(item, annotated_types.Le):
            high = float(item.le)  # type: ignore[arg-type]
        elif isinstance(item, annotated_types.Lt):
            high = float(item.lt)  # type: ignore[arg-type]
    return low, high
