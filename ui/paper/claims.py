"""The paper's claims beside a run's figures, what the paper does not state, and what we could not reconcile."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.evaluation.figure import estimand_of
from core.experiments.paper_claims import CLAIMS, UNRECONCILED, UNSTATED, ClaimRow, compare_claims
from core.experiments.twin.pair import TwinPair
from core.figure_text import value_text
from core.runs.folder import RunFolder
from ui.runs.runs import own_runs, show_config_badges, show_source_badges


def ask_claim_run(pair: TwinPair | None = None) -> RunFolder | None:
    """The run to lay beside the claims, one with finished epochs: at first the leaky arm of the twin run that is shown."""
    runs = {entry.run.name: entry.run for entry in own_runs() if entry.run.epochs()}
    if not runs:
        return None
    shown = pair.runs["slice_split"].name if pair is not None else ""
    leaky = next((name for name, run in runs.items() if run.config.split.split_unit == "slice"), next(iter(runs)))
    first = shown if shown in runs else leaky
    name = st.selectbox(
        "Beside the claims: this run",
        list(runs),
        index=list(runs).index(first),
        key=f"paper.run.{first}",
        persist_state="session",
    )
    return runs.get(name)


def show_claims(run: RunFolder | None) -> None:
    """One row per claim; the paper's alone where there is no run yet."""
    rows = compare_claims(run) if run is not None else []
    if run is not None:
        with st.container(horizontal=True, gap="xsmall"):
            show_source_badges(run.source)
            show_config_badges(run.config)
    st.dataframe(pd.DataFrame(_rows(rows)), hide_index=True, height="content")
    if run is None:
        st.caption("Start a twin run above, or train one, and its figures stand beside the claims.")
        return
    st.caption(
        "Accuracies are by slice and by the larger output, as in the paper's curves, without a chosen threshold. Intervals are "
        "95% ones over patients: the slices of one patient are not independent. Training figures are those of the steps "
        "themselves, with weights that moved. The peak is the best of all epochs on these very slices, so that it is too high. "
        + estimand_of("runs")
    )
    if run.config.weights != "default" or run.config.epochs != 30:
        st.caption(
            f"This run has {run.config.epochs} epochs and weights '{run.config.weights}', the paper 30 and ImageNet's: not a "
            "reproduction."
        )


def _rows(rows: list[ClaimRow]) -> list[dict[str, object]]:
    found = {row.claim.name: row for row in rows}
    table = []
    for claim in CLAIMS:
        row = found.get(claim.name)
        content: dict[str, object] = {
            "figure": claim.name,
            "the paper's claim": f"{claim.paper:.2%}" if claim.percent else f"{claim.paper:.4f}",
            "its epoch": claim.where,
            "its n and interval": "not stated",
        }
        if row is not None:
            content["this run"] = value_text(row.figure, percent=claim.percent)
            content["epoch"] = row.epoch
            content["n"] = f"{row.figure.n} slices of {row.patients} patients"
        table.append(content)
    return table


def show_unstated() -> None:
    """What a reader would need to know to repeat it."""
    for title, text in UNSTATED:
        st.markdown(f"- **{title}**: {text}")


def show_unreconciled() -> None:
    """What does not fit together, and how to look further."""
    for title, text in UNRECONCILED:
        st.markdown(f"- **{title}**: {text}")
    st.caption(
        "A sweep of the learning rate shows it on your data: train the paper's preset at 0.001, 0.01 and 0.1 and compare the "
        "first epochs."
    )
    st.code(
        "for rate in 0.001 0.01 0.1; do python -m core train DATA --preset paper --set epochs=3 --set learning_rate=$rate; done",
        language=None,
        wrap_lines=True,
    )
