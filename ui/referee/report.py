"""A referee's report on the page: the table that is handed in, what is wrong with it, figures, tables and the files to take away."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.data.clinical.labels import Target
from core.evaluation.curves import ReliabilityBins
from core.evaluation.figure import estimand_of
from core.evaluation.thresholds import DecisionCurve
from core.experiments.referee.judge import Questions, judge
from core.experiments.referee.table import read_predictions
from core.figure_text import interval_text, number_text
from core.reports.referee_page import describe_table, list_figures, list_tables, write_referee_page
from ui.figures.reliability import draw_decision, draw_reliability
from ui.widgets.loaders import in_turn
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw

ICONS = {"flaw": ":material/error:", "warning": ":material/warning:", "note": ":material/info:"}
NUMBERS = ("promised", "value", "low", "high")


def ask_questions() -> tuple[Target, Questions, bool]:
    """What the table cannot say of itself."""
    with st.expander("What the table does not say", icon=":material/tune:"), st.grid(3, min_column_width=220):
        column = st.text_input("Column of labels", placeholder="label", key="referee.target")
        positive = st.text_input("Positive value", placeholder="1", key="referee.positive")
        tried = st.number_input(
            "Models tried on these patients", 1, 100_000, 1, key="referee.tried",
            help="Epochs, seeds and settings of which this was the best: what the best gains by chance alone.",
        )  # fmt: skip
        sensitivity = st.number_input(
            "Sensitivity of the labels", 0.51, 1.0, 1.0, 0.01, key="referee.sensitivity",
            help="Of the assay and its cut-off, where labels may be wrong: bounds of the AUROC against the truth.",
        )  # fmt: skip
        specificity = st.number_input("Specificity of the labels", 0.51, 1.0, 1.0, 0.01, key="referee.specificity")
        prevalence = st.number_input(
            "Prevalence where it is used", 0.0, 0.99, 0.0, 0.01, key="referee.prevalence",
            help="Share of positives: predictive values there. 0 leaves them out.",
        )  # fmt: skip
        from_id = st.checkbox("The letters of the ids are the site", key="referee.site_from_id")
    rates = (sensitivity, specificity) if min(sensitivity, specificity) < 1 else None
    return (
        Target(column=column or None, positive=positive or None),
        Questions(label_error=rates, tried=tried, prevalence=prevalence or None),
        from_id,
    )


@st.cache_data(max_entries=4, scope="session", show_spinner="Judging …")
def judge_upload(name: str, content: bytes, target: Target, questions: Questions, from_id: bool) -> dict[str, Any]:
    """Judge a table that was handed in; it is written to a folder that is gone afterwards, and kept for this session only."""
    with in_turn(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"predictions{Path(name).suffix}"
        path.write_bytes(content)
        return judge(read_predictions(path, target, site_from_id=from_id), questions) | {"file": plain(name)}


def show_report(result: Mapping[str, Any]) -> None:
    """Everything, the verdict and the flaws first."""
    st.markdown(f"##### {plain(result['sentence'], 600)}")
    st.caption(f"{plain(describe_table(result), 400)} {estimand_of('referee')}")
    for one in result["findings"]:
        box = {"flaw": st.error, "warning": st.warning}.get(one["severity"], st.info)
        where = f" ({', '.join(one['where'])})" if one["where"] else ""
        box(plain(f"{one['text']} {one['remedy']}{where}", 500), icon=ICONS[one["severity"]])
    auroc = result["discrimination"]["auroc"]
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        st.metric(
            "AUROC by patient",
            number_text(auroc["value"]),
            help=auroc.get("method") or auroc.get("reason"),
            width="content",
        )
        st.markdown(
            f"95%: **{interval_text(auroc['low'], auroc['high']) or 'none'}**, n = {auroc['n']} patients", width=280
        )
        st.download_button(
            "Report (HTML)", write_referee_page(result), "referee.html", "text/html",
            icon=":material/description:", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "JSON", json.dumps(result, indent=1, allow_nan=False), "referee.json", "application/json",
            icon=":material/data_object:", on_click="ignore",
        )  # fmt: skip
    _show_curves(result)
    st.dataframe(
        pd.DataFrame(list_figures(result), columns=["figure", "value (95% interval)"]),
        hide_index=True,
        height="content",
    )
    for title, header, rows in list_tables(result):
        st.markdown(f"##### {title}")
        st.dataframe(pd.DataFrame(list(rows), columns=list(header)), hide_index=True)
    st.markdown("##### Cannot be seen here")
    st.markdown("\n".join(f"- {text}" for text in result["cannot_be_seen"]))
    for text in result["notes"]:
        st.caption(plain(text, 400))


def _show_curves(result: Mapping[str, Any]) -> None:
    curve, benefit, palette = result["calibration"].get("curve"), result["net_benefit"], current_palette()
    if not curve or "thresholds" not in benefit:
        st.caption(plain(result["calibration"].get("reason", ""), 300))
        return
    promised, observed, low, high = (np.array([one[name] for one in curve]) for name in NUMBERS)
    bins = ReliabilityBins(
        promised=promised, observed=observed, low=low, high=high, counts=np.array([one["n"] for one in curve])
    )
    names = ("thresholds", "model", "low", "high", "all", "gain_low")
    decision = DecisionCurve(n=result["n"], **{name: np.array(benefit[name]) for name in names})
    with st.grid(2, min_column_width=320):
        draw(
            draw_reliability(None, bins, ("", "probabilities"), palette, positive=result["class_names"][1]),
            key="referee.reliability", alt="probability said against share observed, by patient",
        )  # fmt: skip
        draw(draw_decision(decision, None, palette), key="referee.decision", alt="net benefit by threshold probability")
    st.caption(
        f"{benefit['words']} The band holds at all these thresholds together (95%); reliability with Wilson intervals."
    )
