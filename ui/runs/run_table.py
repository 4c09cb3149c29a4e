"""The table of runs: which are shown, and which of them are selected."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.figure_text import interval_text
from core.runs.epoch_figures import corrected_validation_auroc, part_sizes
from core.runs.filtering import RunFilter, filter_runs
from core.runs.folder import RunEntry
from core.runs.tags import read_tags
from ui.widgets.errors import report_errors

TALLEST = 290
"""Pixels: seven rows; more of them scroll."""


def ask_filter(entries: Sequence[RunEntry]) -> list[RunEntry]:
    """Let the visitor narrow the list: words, states, presets, tags; kept over page changes."""
    states = sorted({entry.status.state for entry in entries})
    presets = sorted({entry.preset for entry in entries if entry.preset})
    tags = sorted({tag for entry in entries for tag in read_tags(entry.run)}, key=str.casefold)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        text = st.text_input(
            "Find", key="runs.find", placeholder="name, note, network, tag", persist_state="session", width=260
        )
        state = st.multiselect("State", states, key="runs.states", placeholder="any", width=220)
        preset = st.multiselect("Preset", presets, key="runs.presets", placeholder="any", width=220)
        tag = st.multiselect("Tags", tags, key="runs.tags", placeholder="any", width=220) if tags else []
    wanted = RunFilter(states=frozenset(state), presets=frozenset(preset), tags=frozenset(tag), text=text)
    found = filter_runs(entries, wanted)
    if len(found) < len(entries):
        st.caption(f"{len(found)} of {len(entries)} runs.")
    return found


def ask_runs(entries: Sequence[RunEntry]) -> list[str]:
    """Draw the table; return the selected runs, which stand in the address too."""
    names = [entry.run.name for entry in entries]
    named = [name for name in st.query_params.get_all("run") if name in names]
    number, interval = st.column_config.NumberColumn, st.column_config.TextColumn
    # Rows are selected by number: a list that has changed is another table, which begins with the runs in the address.
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    chosen = st.dataframe(
        pd.DataFrame([_as_row(entry) for entry in entries]),
        hide_index=True,
        height="content" if len(entries) <= 7 else TALLEST,
        key=f"runs.table.{digest}",
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [names.index(name) for name in named] or [0]}},
        column_config={
            "val AUROC by patient": number(
                format="%.3f", help="Of the best epoch, which was chosen on these patients."
            ),
            "val AUROC interval": interval("95%"),
            "val accuracy by slice": number(format="%.3f"),
            "patients": number("val patients"),
            "tags": st.column_config.ListColumn(),
        },
    )
    rows = chosen.selection.rows
    picked = [names[row] for row in sorted(rows) if row < len(names)]
    if picked:
        st.query_params["run"] = picked
    return picked


def _as_row(entry: RunEntry) -> dict[str, object]:
    """A run in one line of the table."""
    records = entry.run.epochs()
    best = next((record for record in records if record.epoch == entry.status.best_epoch), None)
    config = None
    auroc = corrected_validation_auroc(entry.run) if best else None
    with report_errors():
        config = entry.run.config
    return {
        "run": entry.run.name,
        "state": entry.status.state,
        "preset": entry.preset,
        "network": entry.architecture,
        "split": "" if config is None else "by slice (leaky)" if config.split.split_unit == "slice" else "by patient",
        "epochs": f"{len(records)} of {entry.status.epochs}",
        "val AUROC by patient": auroc.value if auroc else None,
        "val AUROC interval": interval_text(auroc.low, auroc.high) if auroc else "",
        "val accuracy by slice": best.val_accuracy if best else None,
        "patients": part_sizes(entry.run, "val")[0] if best else None,
        "best epoch": best.epoch if best else None,
        "tags": list(read_tags(entry.run)),
        "created (UTC)": entry.status.created[:16].replace("T", " "),
    }
