"""Calibration: whether a probability keeps its promise, and whether the model knows when it cannot tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import EvaluationError
from core.evaluation import metrics
from core.evaluation.calibration import calibrate_left_out
from core.evaluation.conformal import evaluate_sets, ideal_set_size, sets_left_out
from core.evaluation.curves import reliability_bins
from core.evaluation.influence import mean_interval
from core.evaluation.intervals import auroc_interval
from core.evaluation.metrics import Floats
from core.figure_text import figure_text, interval_text, number_text, value_text
from ui.figures.reliability import draw_reliability, draw_set_size
from ui.validity.remarks import show_falsifier
from ui.validity.subject import Subject, ask_subject
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw

BINS = 6


def draw_section() -> None:
    """Reliability with and without a temperature, then conformal sets."""
    st.markdown(
        "A network trained to the end is usually too sure. One number, the *temperature*, makes it as sure as it is "
        "right; it is fitted here on other patients than those it is evaluated on."
    )
    subject = ask_subject()
    if subject is None:
        return
    if len(np.unique(subject.labels)) < 2:
        st.info("All of these patients are of one class, so nothing can be said.", icon=":material/info:")
        return
    _show_reliability(subject)
    show_falsifier(
        "the share of positive patients in each bin equalled the probability said: all points on the diagonal."
    )
    st.markdown("#### Does it know when it cannot tell?")
    _show_sets(subject)


def _show_reliability(subject: Subject) -> None:
    raw = subject.logits
    before = np.exp(raw - np.logaddexp.reduce(raw, axis=1, keepdims=True))
    after, temperatures = calibrate_left_out(subject.labels, raw)
    positive = subject.positive
    name = subject.class_names[subject.positive_class]
    chart, table = st.columns([3, 2], gap="large")
    with chart:
        bins = [reliability_bins(positive, values[:, subject.positive_class], BINS) for values in (before, after)]
        draw(
            draw_reliability(bins[0], bins[1], ("as trained", "with temperature"), current_palette(), positive=name),
            key=f"validity.calibration.{subject.key}",
            alt="probability said against share observed",
        )
    with table:
        rows = [_row(title, subject, values) for title, values in (("as trained", before), ("with temperature", after))]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
        low, high = temperatures.min(), temperatures.max()
        st.caption(
            f"On {subject.whose}. Temperature {np.mean(temperatures):.2f} ({interval_text(low, high)} over five folds; above 1 "
            "means it was too sure). Each patient's temperature comes from the other folds. ECE has no interval: with few "
            "patients it lies above the truth by chance alone."
        )


def _row(title: str, subject: Subject, probabilities: Floats) -> dict[str, object]:
    positive = subject.positive
    probability = probabilities[:, subject.positive_class]
    row: dict[str, object] = {"": title}
    for name, losses in (
        ("Brier score", (probability - positive) ** 2),
        ("log loss", metrics.log_losses(positive, probability)),
    ):
        try:
            value, low, high = mean_interval(losses, subject.labels)
            row[name] = value_text({"value": value, "low": low, "high": high})
        except EvaluationError:
            row[name] = number_text(float(losses.mean()))
    error = metrics.calibration_error(positive, probability, np.ones((1, len(positive))), bins=BINS)[0]
    row["ECE"] = number_text(float(error))
    row["n"] = len(positive)
    return row


def _show_sets(subject: Subject) -> None:
    st.markdown(
        "Instead of one answer, name every class that the patient may be of, so that for each class 90 of 100 of its "
        "patients have it among those named. Any model can keep that promise. A good one names one class; one that "
        "knows nothing must name both, which means *cannot tell*."
    )
    level = st.select_slider(
        "Promise", [0.8, 0.85, 0.9, 0.95], 0.9, format_func=lambda value: f"{value:.0%}", key="validity.conformal.level"
    )
    sets = sets_left_out(subject.labels, subject.probabilities, level)
    figures = evaluate_sets(subject.labels, sets, subject.class_names)
    auroc, _, _ = (
        auroc_interval(subject.positive, subject.logits[:, subject.positive_class]) if _both(subject) else (None,) * 3
    )
    chart, words = st.columns([3, 2], gap="large")
    with chart:
        own = None if auroc is None else (auroc, figures.mean_size.value or 0.0)
        draw(
            draw_set_size(level, own, current_palette()),
            key=f"validity.sets.{subject.key}",
            alt="mean size of the sets against the AUROC",
        )
    with words:
        st.metric("Cannot tell", f"{figures.undecided.value:.0%}", help="Both classes named, or none.")
        st.caption(figure_text(figures.undecided, "patients"))
        for name, figure in zip(subject.class_names, figures.coverage, strict=True):
            st.markdown(f"{plain(name)}: truth among the named in {figure_text(figure, 'patients')}")
        ideal = "" if auroc is None else f"; at best {ideal_set_size(auroc, level):.2f} at this AUROC"
        st.markdown(f"Classes named, on average: **{figure_text(figures.mean_size, 'patients')}**{ideal}")
        st.markdown(f"When exactly one is named it is right in {figure_text(figures.right_when_told, 'patients')}")
        st.caption(
            f"On {subject.whose}, each calibrated on all the others. A class needs at least "
            f"{int(np.ceil(1 / (1 - level) - 1e-9))} patients before it can ever be left out."
        )
    show_falsifier(
        "the classes' scores overlapped less: the point would slide down the curve, to one class for each patient."
    )


def _both(subject: Subject) -> bool:
    counts = np.bincount(subject.labels, minlength=2)
    return bool(counts.min() >= 2)
