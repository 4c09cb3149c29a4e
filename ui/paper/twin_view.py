"""A twin run on a page: start it, watch the two curves part, read the sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from core.config import RunConfig
from core.evaluation.figure import Figure, estimand_of
from core.experiments.twin.pair import ARMS, TwinPair, find_pair, list_pairs, plan_pair, queue_pair, read_result
from core.figure_text import value_text
from core.jobs.queue import WAITING, request_stop
from core.runs.epoch_figures import part_sizes
from core.runs.records import DataSource
from ui.figures.twin import ARM_TITLES, draw_twins
from ui.runs.runs import show_source_badges, show_state, show_status
from ui.widgets.errors import report_errors
from ui.widgets.progress import ProgressBar
from ui.widgets.state import current_settings, visitor
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw


def own_pairs(shuffled: bool | None = None) -> list[TwinPair]:
    """This visitor's twin runs, newest first; only those with true, or with shuffled, labels where asked."""
    settings = current_settings()
    pairs = list_pairs(settings, visitor() if settings.hosted else None)
    return [
        pair
        for pair in pairs
        if shuffled is None or (pair.runs["slice_split"].source.shuffle_seed is not None) == shuffled
    ]


def start_pair(config: RunConfig, source: DataSource) -> TwinPair:
    """Plan a pair and queue both runs; while the same pair waits or trains, it is that one."""
    settings = current_settings()
    for pair in own_pairs(source.shuffle_seed is not None):
        run = pair.runs["slice_split"]
        active = any(one.status().state in WAITING for one in pair.runs.values())
        if active and run.source == source and run.config.model_copy(update={"split": config.split}) == config:
            return pair
    with ProgressBar("Preparing slices", "series") as bar:
        pair = plan_pair(settings, config, source, owner=visitor(), progress=bar)
    queue_pair(pair, settings)
    return pair


def ask_pair(pairs: list[TwinPair], key: str) -> TwinPair | None:
    """The pair to show: the newest one, or another of the list."""
    if not pairs:
        return None
    names = [pair.name for pair in pairs]
    if len(pairs) == 1:
        return pairs[0]
    name = st.selectbox("Twin run", names, key=key)
    return pairs[names.index(name)] if name in names else pairs[0]


def show_pair(pair: TwinPair, key: str) -> None:
    """Both arms as they train, drawn anew every second; the sentence when both are done."""
    active = any(run.status().state in WAITING for run in pair.runs.values())
    view: Callable[[str, str, bool], None] = st.fragment(_view, run_every=1.0 if active else None)
    view(pair.name, key, active)
    if not pair.finished:
        return
    found = read_result(pair)
    if found is None:
        from core.experiments.twin.result import evaluate_pair

        with ProgressBar("Evaluating both arms on the same test slices", "slices") as bar:
            found = evaluate_pair(pair, current_settings(), bar).to_dict()
    show_result(found)


def show_result(found: dict[str, Any]) -> None:
    """The sentence, and the figures behind it."""
    st.info(plain(found["sentence"], 800), icon=":material/compare_arrows:")
    rows = []
    for level in ("slice", "patient"):
        for figure in ("accuracy", "auroc"):
            row: dict[str, object] = {"on the same test slices": f"{figure.replace('auroc', 'AUROC')} by {level}"}
            for arm in ARMS:
                row[ARM_TITLES[arm]] = value_text(Figure(**found[arm][level][figure]))
            difference = found["difference"].get(level, {}).get(figure)
            row["difference"] = value_text(Figure(**difference)) if difference else "–"
            row["n"] = f"{found['slice_split'][level][figure]['n']} {level}s"
            rows.append(row)
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content")
    for reason in dict.fromkeys(
        figure["reason"]
        for figures in found["difference"].values()
        for figure in figures.values()
        if figure["low"] is None and figure.get("reason")
    ):
        st.caption(f"A difference without an interval: {plain(reason, 300)}")
    best = found["validation"]["patient_split"]["patient"]["auroc"]
    st.caption(
        "Accuracies of the table use the threshold that was chosen on validation; the curves use the larger output. "
        f"By patient, without siblings, the best epoch had an AUROC of {value_text(Figure(**best))} on the {best['n']} patients that chose "
        "it: compare the test patients above, which chose nothing. "
        + estimand_of("twin")
        + " "
        + ("The scans are synthetic." if found.get("synthetic") else "")
    )


def _view(name: str, key: str, was_active: bool) -> None:
    settings = current_settings()
    with report_errors():
        pair = find_pair(name, settings, visitor() if settings.hosted else None)
        states = {arm: run.status() for arm, run in pair.runs.items()}
        active = any(status.state in WAITING for status in states.values())
        if was_active and not active:
            st.rerun()
        _show_badges(pair)
        for arm in ARMS:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{ARM_TITLES[arm]}**", width="content")
                show_state(states[arm])
            if states[arm].state != "queued":
                show_status(states[arm])
        _show_controls(pair, key, active)
        _show_curves(pair, key)


def _show_badges(pair: TwinPair) -> None:
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        st.caption(plain(pair.name), width="content")
        show_source_badges(pair.runs["slice_split"].source)


def _show_controls(pair: TwinPair, key: str, active: bool) -> None:
    settings = current_settings()
    with st.container(horizontal=True, gap="small"):
        if active and st.button("Stop both", icon=":material/stop_circle:", key=f"{key}.{pair.name}.stop"):
            for run in pair.runs.values():
                if run.status().state in WAITING:
                    request_stop(run)
            st.rerun()
        if (
            not active
            and not pair.finished
            and st.button("Resume", icon=":material/play_circle:", key=f"{key}.{pair.name}.resume")
        ):
            queue_pair(pair, settings)
            st.rerun()


def _show_curves(pair: TwinPair, key: str) -> None:
    records = {arm: pair.runs[arm].epochs() for arm in ARMS}
    if not any(records.values()):
        st.caption("Curves appear with the first finished epoch; the arm with siblings trains first.")
        return
    palette = current_palette()
    epochs = pair.runs["slice_split"].config.epochs
    patients, slices, majority = part_sizes(pair.runs["slice_split"], "val")
    with st.grid(2, min_column_width=320):
        draw(
            draw_twins(
                records, epochs, palette, field="accuracy", title="accuracy by slice", chance=majority,
                chance_name="commoner class",
            ),
            key=f"{key}.{pair.name}.accuracy",
            alt="accuracy by slice of both arms by epoch",
        )  # fmt: skip
        draw(
            draw_twins(
                records,
                epochs,
                palette,
                field="patient_auroc",
                title="AUROC by patient",
                chance=0.5,
                chance_name="chance",
            ),
            key=f"{key}.{pair.name}.auroc",
            alt="AUROC by patient of both arms by epoch",
        )
    st.caption(
        f"Validation: the same {slices} slices of {patients} patients in both arms. Training: {pair.trained_on} slices in "
        f"both; in one of them {pair.siblings} are siblings, other slices of the evaluated patients. Bands are 95% intervals of "
        "the validation's figures, over patients."
    )
