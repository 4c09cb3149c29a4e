"""The augmentation's part of the form: each change with its switch, its amount and its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.config import AugmentationConfig
from ui.train.fields import FieldSpec, label_of, step_of

AMOUNTS: Mapping[str, float] = {
    name: float(field.examples[0]) for name, field in AugmentationConfig.model_fields.items() if field.examples
}
"""The changes that are off at 0, and the amount that waits beside the switch of each."""


def ask_augmentation(specs: Mapping[str, FieldSpec], start: Mapping[str, Any], key: str) -> dict[str, float]:
    """Draw the switches; the amount of each change by name, 0 where it is off.

    Parameters
    ----------
    specs
        What is known of each field.
    start
        The augmentation that the form starts from.
    key
        Prefix of the widgets' keys.
    """
    with st.grid(2, min_column_width=330):
        return {name: _ask_amount(specs[name], float(start[name]), f"{key}.{name}") for name in AMOUNTS}


def _ask_amount(spec: FieldSpec, value: float, key: str) -> float:
    """A switch, the amount beside it, and the reason below."""
    waiting = value or AMOUNTS[spec.name]
    with st.container(gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            on = st.toggle(
                label_of(spec.name),
                value=value > 0,
                key=f"{key}.on",
                help="Switches this change on or off.",
                persist_state="session",
                width=200,
            )
            amount = st.number_input(
                label_of(spec.name),
                value=waiting,
                min_value=spec.low,
                max_value=spec.high,
                step=step_of(waiting),
                format="%g",
                key=key,
                help=spec.help,
                disabled=not on,
                label_visibility="collapsed",
                persist_state="session",
                width=130,
            )
        st.caption(spec.help)
    return float(amount) if on else 0.0
