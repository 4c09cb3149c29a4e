"""The table of runs: which are shown, and which of them are selected."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.figure_text import interval_text
from core.runs.epoch_figures import corrected_validation_auroc, part_sizes
from core.runs.filtering import RunFilter, filter_runs, group_trials
from core.runs.folder import RunEntry, RunFolder
from core.runs.tags import read_tags, read_words
from ui.runs.runs import own_runs
from ui.widgets.errors import report_errors
from ui.widgets.state import current_settings
from ui.widgets.text import plain

TALLEST = 290
"""Pixels: seven rows; more of them scroll."""
UNFOLDED = "runs.unfolded"
"""In the session's state: the sweeps whose trials have a row each."""


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
    """Draw the table; return the selected runs, which stand in the address too. A folded sweep is one row of all its runs."""
    rows = _fold(entries, set(st.query_params.get_all("run")))
    names = [row[0].run.name for row in rows]
    named = {name for name in st.query_params.get_all("run") if any(name == one.run.name for one in entries)}
    number, interval = st.column_config.NumberColumn, st.column_config.TextColumn
    # Rows are selected by number: a list that has changed is another table, which begins with the runs in the address.
    digest = hashlib.sha256("\n".join(f"{row[0].run.name} {len(row)}" for row in rows).encode()).hexdigest()[:12]
    shown = pd.DataFrame([_as_row(row[0]) if len(row) == 1 else _as_sweep(row) for row in rows])
    first = [place for place, row in enumerate(rows) if named & {one.run.name for one in row}] or [0]
    chosen = st.dataframe(
        shown if shown["name"].any() else shown.drop(columns="name"),
        hide_index=True,
        height="content" if len(rows) <= 7 else TALLEST,
        key=f"runs.table.{digest}",
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": first}},
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
    places = [place for place in sorted(chosen.selection.rows) if place < len(names)]
    picked = [one.run.name for place in places for one in rows[place]]
    if picked:
        st.query_params["run"] = picked
    return picked


def show_sweeps(runs: Sequence[RunFolder]) -> None:
    """Ways to the sweeps that some runs belong to: folded or unfolded here, or on their page."""
    chosen, unfolded = {run.name for run in runs}, st.session_state.get(UNFOLDED, frozenset())
    for sweep, trials in group_trials(own_runs(), current_settings()).items():
        names = [trial.run.name for trial in trials]
        if not chosen & set(names):
            continue
        folded = sweep not in unfolded and set(names) <= chosen
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(f"Of the sweep {plain(sweep)}, {len(names)} trials", width="content")
            if st.button(
                "Show each trial" if folded else "Fold the trials",
                icon=":material/unfold_more:" if folded else ":material/unfold_less:",
                type="tertiary",
                key=f"runs.fold.{sweep}",
            ):
                st.session_state[UNFOLDED] = unfolded | {sweep} if folded else unfolded - {sweep}
                st.query_params["run"] = names[:1] if folded else names
                st.rerun()
            if st.button("Open on Sweeps", icon=":material/tune:", type="tertiary", key=f"runs.sweep.{sweep}"):
                st.switch_page("pages/sweeps.py", query_params={"search": sweep})


def _fold(entries: Sequence[RunEntry], named: set[str]) -> list[list[RunEntry]]:
    """One list per row: a run, or all runs of a sweep in the place of its newest; one whose single runs are named is unfolded."""
    sweeps = group_trials(entries, current_settings())
    unfolded = st.session_state.get(UNFOLDED, frozenset())
    folded: dict[str, list[RunEntry]] = {}
    for sweep, trials in sweeps.items():
        names = {trial.run.name for trial in trials}
        if len(names) > 1 and sweep not in unfolded and (names <= named or not names & named):
            folded |= dict.fromkeys(names, trials)
    rows: list[list[RunEntry]] = []
    for entry in entries:
        row = folded.get(entry.run.name, [entry])
        if row[0] is entry:
            rows.append(row)
    return rows


def _as_sweep(trials: Sequence[RunEntry]) -> dict[str, object]:
    """A folded sweep in one line of the table: no figure, for its trials were compared and the best of them is no result."""
    states = Counter(trial.status.state for trial in trials)
    first = trials[0]
    (sweep,) = group_trials([first], current_settings())
    return {
        "run": f"{sweep}: {len(trials)} trials",
        "name": "",
        "state": ", ".join(f"{count} {state}" for state, count in states.items()),
        "preset": first.preset,
        "network": first.architecture,
        "tags": [],
        "created (UTC)": first.status.created[:16].replace("T", " "),
    }


def _as_row(entry: RunEntry) -> dict[str, object]:
    """A run in one line of the table."""
    records = entry.run.epochs()
    best = next((record for record in records if record.epoch == entry.status.best_epoch), None)
    config = auroc = patients = None
    with report_errors():
        config = entry.run.config
        if best:
            auroc, patients = corrected_validation_auroc(entry.run), part_sizes(entry.run, "val")[0]
    return {
        "run": entry.run.name,
        "name": read_words(entry.run).name,
        "state": entry.status.state,
        "preset": entry.preset,
        "network": entry.architecture,
        "split": "" if config is None else "by slice (leaky)" if config.split.split_unit == "slice" else "by patient",
        "epochs": f"{len(records)} of {entry.status.epochs}",
        "val AUROC by patient": auroc.value if auroc else None,
        "val AUROC interval": interval_text(auroc.low, auroc.high) if auroc else "",
        "val accuracy by slice": best.val_accuracy if best else None,
        "patients": patients,
        "best epoch": best.epoch if best else None,
        "tags": list(read_tags(entry.run)),
        "created (UTC)": entry.status.created[:16].replace("T", " "),
    }
