"""The presets' networks as a table, and what goes into each."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.config import PrepConfig
from core.models.zoo import ZooRow
from ui.figures.inputs import draw_input
from ui.widgets.theme import current_palette, draw

FORMS = {
    "slice": "The answers for a study's slices are combined to one, usually their mean.",
    "volume": "Where several sequences are used, the answers for their volumes are combined to one.",
}


def show_zoo(rows: list[ZooRow]) -> None:
    """What each network costs, beside what the paper's Figure 2 says."""
    table = pd.DataFrame(
        {
            "preset": [row.title for row in rows],
            "after": [row.after for row in rows],
            "network": [row.network for row in rows],
            "parameters (10⁶)": [row.parameters / 1e6 for row in rows],
            "multiply-adds (10⁹)": [row.multiply_adds / 1e9 for row in rows],
            "paper's Figure 2 (10⁹)": [
                "" if row.paper_multiply_adds is None else f"{row.paper_multiply_adds:.1f}" for row in rows
            ],
            "can start from": [_weights_words(row.pretrained) for row in rows],
        }
    )
    styles = {
        name: st.column_config.NumberColumn(format="%.2f" if name.startswith("multiply") else "%.1f")
        for name in table.columns
        if "10" in name and not name.startswith("paper")
    }
    wide = {name: st.column_config.TextColumn(width="medium") for name in ("preset", "after", "network")}
    st.dataframe(table, hide_index=True, column_config={**styles, **wide}, height="content")
    st.caption(
        "Parameters and multiply-adds are counted from the networks themselves, for one example and two classes. "
        "Figure 2 of the paper repeats the costs of He et al. (2016). A preset comes after what is published and is not the "
        "same: choose it below to read how it differs."
    )
    for note in dict.fromkeys(row.note for row in rows if row.note):
        names = ", ".join(row.network for row in rows if row.note == note)
        st.caption(f"{names}: {note}.")


def _weights_words(pretrained: str | None) -> str:
    """The images that the weights were learnt from, in words."""
    if pretrained is None:
        return "random weights only"
    return "Kinetics-400 videos" if "KINETICS" in pretrained else "ImageNet"


def show_input(row: ZooRow, prep: PrepConfig) -> None:
    """What one example of a preset is, drawn and in words."""
    palette = current_palette()
    words = describe_input(prep)
    draw(draw_input(prep, row.network, palette), key=f"models.input.{row.preset}", alt=words)
    st.markdown(f"**What goes in:** {words}")
    sides = " × ".join(str(side) for side in row.input_shape)
    axes = "channels × slices × rows × columns" if len(row.input_shape) == 4 else "channels × rows × columns"
    st.caption(f"The cost above is that of one example of {sides} ({axes}).")


def describe_input(prep: PrepConfig) -> str:
    """One example of a preparation, in a sentence or two."""
    names = ", ".join(str(sequence) for sequence in prep.sequences)
    size = f"{prep.size_px} × {prep.size_px} pixels"
    grid = f" All are resampled to one axial grid, {prep.grid_mm:g} mm between slices." if prep.grid_mm else ""
    depth = f"{prep.slice_count} slices of {size}"
    where = {
        "window": "neighbouring ones, around the slice with most brain",
        "spread": "evenly spaced around the middle of the brain",
        "all": "every slice that is not blank",
    }[prep.slice_choice]
    if prep.form == "streams":
        return f"the same slice of {names}, each in a stream of its own, of {size}.{grid} {FORMS['slice']}"
    if prep.form == "volume" and prep.combines:
        return f"a volume of {depth} ({where}), with {names} in place of the colours.{grid}"
    if prep.form == "volume":
        return f"a volume of {depth} ({where}) of one sequence ({names}).{grid} {FORMS['volume']}"
    if prep.combines:
        return f"one slice of {size} with {names} in place of the colours.{grid} {FORMS['slice']}"
    if prep.channels == "neighbours":
        return f"one slice of {size} between its neighbours, of one sequence ({names}).{grid} {FORMS['slice']}"
    return f"one slice of {size}, of one sequence ({names}).{grid} {FORMS['slice']}"
