"""What a cross-validation found: the forest of folds, the figures, who won where, and the ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.evaluation.figure import Figure, estimand_of
from core.evaluation.figures import FIGURE_TITLES
from core.figure_text import figure_text, interval_text, number_text
from core.runs.records import DataSource
from ui.figures.folds import draw_candidates, draw_folds
from ui.widgets.state import choose_checkpoint
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw


def show_result(name: str, source: DataSource, result: dict[str, Any]) -> None:
    """Everything, the mean first."""
    auroc = result["patient"]["auroc"]
    with st.container(horizontal=True, gap="xsmall"):
        st.badge("nested" if result["design"] == "nested" else "one configuration", color="gray")
        st.badge("split by patient", color="gray")
        if result["synthetic"]:
            st.badge("synthetic", icon=":material/science:", color="orange")
        if source.shuffle_seed is not None:
            st.badge("labels shuffled: a control", icon=":material/shuffle:", color="red")
    left, right = st.columns([1, 2], gap="large")
    with left:
        st.metric("AUROC by patient, mean within folds", number_text(auroc["value"]))
        st.markdown(
            f"95%: **{interval_text(auroc['low'], auroc['high']) or 'none'}**, n = {auroc['n']} patients, each evaluated by a "
            "network that never saw it.",
            help=f"{auroc.get('method') or auroc.get('reason', '')}. {result['left_out']}",
        )
        spread = result["spread"]
        if spread:
            st.markdown(
                f"Over {spread['n']} seeds the mean lay between **{spread['low']:.3f}** and **{spread['high']:.3f}** "
                f"(standard deviation {spread['sd']:.3f})."
            )
        for key in ("accuracy", "balanced_accuracy", "brier"):
            figure = Figure(**result["patient"][key])
            st.markdown(f"{FIGURE_TITLES[key]}: {figure_text(figure, 'patients')}")
        _show_ensemble(result)
    with right:
        draw(
            draw_folds(result, current_palette()),
            key=f"folds.{name}.forest",
            alt="AUROC of each fold with its interval, and the mean",
        )
    if result["design"] == "nested":
        _show_candidates(name, result)
    st.caption(f"{result['left_out']} {estimand_of('cross_validation')}")
    with st.expander("Every fold", icon=":material/table:"):
        table = _table(result)
        figures = [name for name in table.columns if table[name].dtype == float]
        st.dataframe(
            table,
            hide_index=True,
            placeholder="–",
            column_config={name: st.column_config.NumberColumn(format="%.3f") for name in figures},
        )


def show_why() -> None:
    """Why it is done in this way."""
    st.markdown(
        "- **Why the AUROC is averaged within folds.** Each fold has a network of its own, and its logits have a scale and "
        "an origin of their own. Ranking all patients by pooled logits ranks networks as well as patients: in simulation "
        "it lies below the true AUROC, by up to 0.13 (benchmarks/bench_folds.py). Decisions and losses are each patient's "
        "own, so accuracy and Brier score are taken over all patients, each by its fold's threshold and temperature.\n"
        "- **Why nested.** Whoever compares settings on the patients that are then reported, reports the best of several "
        "chances. Here candidates are compared on validation patients inside the other folds, and the winner alone is "
        "evaluated on the fold; epoch, threshold and temperature are chosen inside, too. Report this form when anything was "
        "tuned.\n"
        "- **Why several seeds.** The interval says what other patients would change. What another seed or partition would "
        "change shows in the spread over seeds.\n"
        "- **What it costs.** Every patient is evaluated once per seed. Test patients that another run of the same cohort "
        "holds out then count as evaluated, and the ledger says so."
    )


def _show_ensemble(result: dict[str, Any]) -> None:
    if not result["ensemble"]:
        st.caption(plain(result["no_ensemble"], 300))
        return
    if st.button(
        "Predict with the ensemble",
        icon=":material/neurology:",
        key="folds.predict",
        help="The networks of all folds answer together: the mean of their calibrated log odds. Where they differ is shown. "
        "The figure beside it is that of its members, each on patients it never saw; the mean itself was not measured.",
    ):
        choose_checkpoint(str(Path(result["ensemble"])))
        st.switch_page("pages/predict.py")


def _show_candidates(name: str, result: dict[str, Any]) -> None:
    st.markdown("**Which candidate won where**")
    titles = [_title(one["choices"]) for one in result["candidates"]]
    draw(
        draw_candidates(result, titles, current_palette()),
        key=f"folds.{name}.candidates",
        alt="inner validation AUROC of each candidate in each fold, the chosen one larger",
    )
    wins = ", ".join(f"{plain(title)}: {one['wins']}" for title, one in zip(titles, result["candidates"], strict=True))
    st.caption(
        f"Folds won: {wins}. The figures are validation figures, which chose: none of them is a result. Where different folds "
        "choose differently, the choice does not matter much, or the patients are too few to tell."
    )


def _title(choices: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in choices.items())


def _table(result: dict[str, Any]) -> pd.DataFrame:
    titles = {one["number"]: _title(one["choices"]) or "the configuration" for one in result["candidates"]}
    return pd.DataFrame(
        [
            {
                "seed": fold["seed"],
                "fold": fold["fold"],
                "n": fold["patients"],
                "positive": fold["positive"],
                "candidate": titles[fold["candidate"]],
                "epoch": fold["epoch"],
                "threshold": fold["threshold"],
                "looks": fold["looked_at"],
                **{
                    f"{FIGURE_TITLES[key]}{end}": fold[key][side]
                    for key in ("auroc", "accuracy", "balanced_accuracy", "brier")
                    for side, end in (("value", ""), ("low", " low"), ("high", " high"))
                },
            }
            for fold in result["folds"]
        ]
    ).round(3)
