"""A configuration's values with where they come from: the paper's words, or our choice."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.config import RunConfig, leaf_values
from core.presets import PRESETS
from ui.runs.runs import changed_values
from ui.train.fields import label_of

SOURCES = {"paper": "the paper's", "ours": "ours", "changed": "changed here"}


def show_provenance(config: RunConfig) -> None:
    """Every value, whether it is the paper's or ours, and why."""
    preset = PRESETS.get(config.preset)
    changed = changed_values(config)
    rows = []
    for name, value in leaf_values(config).items():
        if name == "preset":
            continue
        origin = preset.provenance.get(name) if preset else None
        source = "changed" if name in changed else origin.source if origin else "ours"
        note = f"the preset has {_words(changed[name][0])}" if name in changed else origin.note if origin else ""
        rows.append({"setting": label_of(name), "value": _words(value), "whose": SOURCES[source], "note": note})
    order = [SOURCES["changed"], SOURCES["paper"], SOURCES["ours"]]
    table = pd.DataFrame(rows).sort_values("whose", key=lambda column: column.map(order.index), kind="stable")
    st.dataframe(table, hide_index=True, height=min(420, 38 + 35 * len(table)))


def show_changes(config: RunConfig) -> None:
    """What differs from the preset, in one line each."""
    changed = changed_values(config)
    if not changed:
        st.caption(f"As the preset {config.preset!r} has it." if config.preset in PRESETS else "No preset.")
        return
    rows = [
        {"setting": label_of(name), "preset": _words(theirs), "this run": _words(ours)}
        for name, (theirs, ours) in changed.items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
