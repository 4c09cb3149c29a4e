"""What several cohorts say together: the forest, each cohort's figures, and the matrix of trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.evaluation.figure import estimand_of
from core.experiments.external.judged import CALIBRATION_SHOWN
from core.figure_text import interval_text, number_text, value_text
from core.reports.external_page import describe_methods, list_remarks, write_external_page
from ui.figures.external import draw_forest, draw_matrix
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw


def show_result(name: str, result: Mapping[str, Any]) -> None:
    """Everything, the mean first."""
    mean, prediction = result["mean"], result["prediction_interval"]
    with st.container(horizontal=True, gap="xsmall"):
        if result["synthetic"]:
            st.badge("synthetic", icon=":material/science:", color="orange")
        if prediction["unstable"]:
            st.badge(
                "unstable: fewer than five cohorts",
                icon=":material/warning:",
                color="orange",
                help="How far cohorts differ is itself estimated from so few that the prediction interval says little.",
            )
    left, right = st.columns([1, 2], gap="large")
    with left:
        st.metric("Mean AUROC by patient over cohorts", number_text(mean["value"]))
        st.markdown(
            f"95%: **{interval_text(mean['low'], mean['high']) or 'none'}**, n = {mean['n']} cohorts.",
            help=describe_methods(result),
        )
        limits = interval_text(prediction["low"], prediction["high"])
        if limits:
            st.markdown(
                f"A further cohort's would lie between **{limits.replace(' to ', '** and **')}** (95% prediction)."
            )
        else:
            st.caption(plain(prediction.get("reason", ""), 300).capitalize())
        st.download_button(
            "This result (HTML, to print or save)",
            write_external_page(name, result),
            f"{name}.html",
            "text/html",
            icon=":material/description:",
            on_click="ignore",
        )
    with right:
        draw(
            draw_forest(result, current_palette()),
            key=f"external.{name}.forest",
            alt="AUROC of each cohort with its interval, the mean, and the prediction interval",
        )
    st.dataframe(
        _table(result), hide_index=True, column_config={"cohort": st.column_config.TextColumn(pinned=True)}
    )  # fmt: skip
    st.caption(
        "O:E is the positives observed over those expected, 1 where the probabilities are right on average; calibration in the "
        "large the shift of the log odds that would put it right, 0 where none is needed; the slope is below 1 where the "
        "probabilities are too extreme. All by patient, with 95% intervals. "
        + estimand_of("leave_one_cohort_out" if "by" in result else "external")
    )
    _show_matrix(name, result)
    _show_overlap(result)
    for remark in list_remarks(result):
        st.caption(plain(remark, 500))


def show_why() -> None:
    """Why it is done in this way."""
    st.markdown(
        "- **Nobody twice.** Public cohorts share patients: BraTS21 holds hundreds of UCSF-PDGM's and UPENN-GBM's. Of a person "
        "in two cohorts the first keeps it; those of the checkpoint's own patients are dropped and counted. What only looks the "
        "same is refused until you say whether it is.\n"
        "- **Why a random-effects mean.** Hospitals differ, so there is no one AUROC that all of them estimate. The mean is over "
        "hospitals like these; the prediction interval says what a further one may see, and is the wider, honest answer. It "
        "takes three cohorts, and with fewer than five it is unstable.\n"
        "- **Why calibration beside the AUROC.** A network can order another hospital's patients well and still be wrong by a "
        "factor in how sure it is.\n"
        "- **Leave one cohort out** asks of the protocol what external validation asks of one checkpoint: trained on all cohorts "
        "but one, evaluated on the one, each in turn. All of a person's studies are on one side."
    )


def _table(result: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "cohort": one["name"],
                "n": one["n"],
                "positive": one["positive"],
                "overlap removed": one["overlap"]["count"] if one["overlap"] else 0,
                "AUROC": value_text(one["auroc"]),
                **{title: value_text(one[key]) for key, title in CALIBRATION_SHOWN.items()},
                "Brier score": value_text(one["brier"]),
                "looked at": one["looked_at"],
            }
            for one in result["cohorts"]
        ]
    )


def _show_matrix(name: str, result: Mapping[str, Any]) -> None:
    cells = result.get("matrix", [])
    if not any(cell["kind"] == "other" for cell in cells):
        return
    st.markdown("**Trained on, evaluated on**")
    draw(
        draw_matrix(cells, current_palette()),
        key=f"external.{name}.matrix",
        alt="AUROC by what was trained on and what was evaluated on",
    )
    st.caption("\\* On test patients of the cohort that it was trained on, which chose nothing; they are few.")


def _show_overlap(result: Mapping[str, Any]) -> None:
    rows = [
        {"cohort": one["name"], "person": person["person"], "is in": person["in"], "as": person["same_as"],
         "known by": ", ".join(person["reasons"])}
        for one in result["cohorts"]
        for person in (one["overlap"]["persons"] if one["overlap"] else [])
    ]  # fmt: skip
    if rows:
        with st.expander(f"Persons who are in two: {len(rows)}", icon=":material/group:"):
            st.dataframe(pd.DataFrame(rows), hide_index=True)
