"""A form made from the fields of :class:`core.config.RunConfig`: nothing about a field is written twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st

from core.config import RunConfig, apply_settings
from core.models.registry import ARCHITECTURES
from ui.train.augmentation_form import AMOUNTS, ask_augmentation
from ui.train.fields import FieldSpec, describe_fields, label_of, step_of

MAIN_FIELDS = (
    "architecture",
    "weights",
    "split_unit",
    "epochs",
    "batch_size",
    "learning_rate",
    "size_px",
    "slice_count",
    "sequences",
)
HIDDEN_FIELDS = frozenset({"preset", "split_version"})
GROUP_TITLES = {
    "prep": "Images",
    "optimiser": "Optimiser",
    "schedule": "Learning rate over time",
    "split": "Split",
    "": "Run",
}
APPLIES_WHEN: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "momentum": ("optimiser", ("sgd",)),
    "step_size": ("schedule", ("step",)),
    "gamma": ("schedule", ("step",)),
    "slice_count": ("slice_choice", ("spread", "window")),
    "slice_span": ("slice_choice", ("spread",)),
    "percentile_low": ("normalise", ("percentile",)),
    "percentile_high": ("normalise", ("percentile",)),
    "top_k": ("aggregation", ("top_k",)),
    "mask_epochs": ("architecture", tuple(name for name, entry in ARCHITECTURES.items() if entry.needs_masks)),
}
"""A field that has no effect unless another field has one of certain values."""


def draw_form(
    config: RunConfig,
    *,
    key: str,
    choices: Mapping[str, Mapping[str, str]],
    typed: Collection[str] = (),
    maxima: Mapping[str, float] | None = None,
) -> RunConfig:
    """Draw the form and return the configuration that it describes.

    Parameters
    ----------
    config
        What the form starts from; a change of `key` starts afresh.
    key
        Prefix of the widgets' keys; the values stay with the session under it.
    choices
        Values to offer for text fields with their titles, by field name.
    typed
        Those of them for which another value may be typed in.
    maxima
        Upper bounds that are tighter than the configuration's, by field name (hosted mode).

    Raises
    ------
    ConfigError
        The values do not fit together.
    """
    specs = describe_fields()
    start = config.model_dump(mode="json")
    values: dict[str, Any] = {}

    def ask(names: Sequence[str], columns: int = 3) -> None:
        with st.grid(columns, min_column_width=220):
            for name in names:
                value = _widget(
                    specs[name],
                    _leaf(start, specs[name].path),
                    key=f"{key}.{name}",
                    choices=choices.get(name, {}),
                    typed=name in typed,
                    maximum=(maxima or {}).get(name),
                    disabled=_has_no_effect(name, values, start, specs),
                )
                if value is not None:
                    values[name] = value

    ask(MAIN_FIELDS)
    with st.expander("Augmentation: what training changes at random, and why", icon=":material/shuffle:"):
        values |= ask_augmentation(specs, start["augmentation"], key)
        ask([name for name, spec in specs.items() if spec.group == "augmentation" and name not in AMOUNTS])
    with st.expander("Everything else", icon=":material/tune:"):
        for group, title in GROUP_TITLES.items():
            names = [
                name
                for name, spec in specs.items()
                if spec.group == group and name not in MAIN_FIELDS and name not in HIDDEN_FIELDS
            ]
            if names:
                st.markdown(f"**{title}**")
                ask(names)
    return apply_settings(config, values)


def _widget(
    spec: FieldSpec,
    value: Any,
    *,
    key: str,
    choices: Mapping[str, str],
    typed: bool,
    maximum: float | None,
    disabled: bool,
) -> Any:
    shared: dict[str, Any] = {
        "label": label_of(spec.name),
        "key": key,
        "help": spec.help,
        "disabled": disabled,
        "persist_state": "session",
    }
    if spec.kind == "bool":
        return st.toggle(value=bool(value), **shared)
    if spec.kind == "choice":
        return st.selectbox(options=list(spec.choices), index=spec.choices.index(value), **shared)
    if spec.kind == "sequences":
        return st.pills(options=list(spec.choices), default=list(value), selection_mode="multi", **shared)
    if spec.kind in ("integer", "number"):
        return _number(spec, value, maximum, shared)
    if choices:
        offered = [value, *(choice for choice in choices if choice != value)]
        picked = st.selectbox(
            options=offered,
            format_func=lambda choice: choices.get(choice, choice),
            accept_new_options=typed,
            **shared,
        )
        # A forged message can name what was not offered.
        return picked if typed or picked in offered else value
    return st.text_input(value=str(value), **shared)


def _number(spec: FieldSpec, value: Any, maximum: float | None, shared: dict[str, Any]) -> Any:
    bounds = [bound for bound in (spec.high, maximum) if bound is not None]
    high = min(bounds) if bounds else None
    if high is not None:
        value = min(value, high)
    if spec.kind == "integer":
        low = None if spec.low is None else int(spec.low)
        return st.number_input(
            value=int(value), min_value=low, max_value=None if high is None else int(high), step=1, **shared
        )
    step = step_of(value) if value > 0 else 0.01
    return st.number_input(value=float(value), min_value=spec.low, max_value=high, step=step, format="%g", **shared)


def _leaf(content: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = content
    for step in path:
        value = value[step]
    return value


def _has_no_effect(
    name: str, values: Mapping[str, Any], start: Mapping[str, Any], specs: Mapping[str, FieldSpec]
) -> bool:
    if name not in APPLIES_WHEN:
        return False
    other, needed = APPLIES_WHEN[name]
    return bool(values.get(other, _leaf(start, specs[other].path)) not in needed)
