"""The configuration in words: every --set name for ``train --help``, and where each value of a run comes from."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from core.config import RunConfig
from core.presets import PRESETS, find_preset
from core.presets.paper import is_reproduction

WIDTH = 110
REFERENCES = ("paper", "honest")
"""Presets whose values are always shown where presets differ."""


def describe_settings() -> str:
    """List every name that --set takes, with its default in each preset and its description."""
    presets = {name: _leaves(preset.config.model_dump(mode="json")) for name, preset in PRESETS.items()}
    lines = ["presets:"]
    for preset in PRESETS.values():
        lines.append(f"  {preset.name}: {preset.title}")
        lines += textwrap.wrap(preset.summary, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    lines += ["", "names for --set (a preset that is not named has the value of honest):"]
    for name, description in _descriptions(RunConfig).items():
        if name == "preset":
            continue
        values = {preset: _text(values[name]) for preset, values in presets.items()}
        same = len(set(values.values())) == 1
        named = {key: text for key, text in values.items() if key in REFERENCES or text != values["honest"]}
        defaults = next(iter(values.values())) if same else ", ".join(f"{key}: {text}" for key, text in named.items())
        lines.append(f"  {name} ({defaults})")
        lines += textwrap.wrap(description, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines) + "\n"


def describe_origin(config: RunConfig) -> list[str]:
    """Say which values were set here, for the paper's preset whose each value is, and what the run may be called."""
    preset = find_preset(config.preset)
    chosen = _leaves(config.model_dump(mode="json"))
    stated = _leaves(preset.config.model_dump(mode="json"))
    groups: dict[str, list[str]] = {"the paper's": [], "ours": [], "set here": []}
    for name, provenance in preset.provenance.items():
        if name == "preset" or name not in chosen:
            continue
        if chosen[name] != stated[name]:
            groups["set here"].append(f"  {name} = {_text(chosen[name])} (the preset has {_text(stated[name])})")
        elif preset.name == "paper":
            group = "the paper's" if provenance.source == "paper" else "ours"
            groups[group].append(f"  {name} = {_text(chosen[name])}: {provenance.note}")
    lines = [f"preset {preset.name}: {preset.title}"]
    for title, entries in groups.items():
        lines += [f"{title}:", *entries] if entries else []
    if config.split.split_unit == "slice":
        lines.append(
            "LEAKY SPLIT: slices of one patient are in training and in validation, so the figures do not say how "
            "well a new patient is predicted."
        )
    if preset.name == "paper" and not is_reproduction(config):
        lines.append("Not a reproduction of the paper: a value that the paper states was changed.")
    return lines


def _descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Description of every leaf field by its plain name, in the order of the configuration."""
    found: dict[str, str] = {}
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found |= _descriptions(info.annotation)
        else:
            found[name] = " ".join((info.description or "").split())
    return found


def _leaves(content: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a configuration to plain names; no plain name occurs twice in it."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= _leaves(value) if isinstance(value, dict) else {name: value}
    return flat


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
