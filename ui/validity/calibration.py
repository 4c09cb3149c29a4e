"""Calibration: whether a probability keeps its promise, and whether the model knows when it cannot tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluation.aggregate import log_odds
from core.evaluation.calibration import CALIBRATION_TITLES, to_probabilities
from core.evaluation.conformal import evaluate_sets, ideal_set_size, sets_left_out
from core.evaluation.curves import reliability_bins
from core.evaluation.intervals import auroc_interval
from core.figure_text import figure_text, interval_text, number_text
from ui.figures.reliability import draw_reliability, draw_set_size
from ui.validity.remarks import show_falsifier
from ui.validity.subject import Subject, ask_subject
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw

BINS = 6
RECEIVED = "as people receive it"


def draw_section() -> None:
    """Reliability with and without a temperature, then conformal sets."""
    st.markdown(
        "A network trained to the end is usually too sure. One number, the *temperature*, makes it as sure as it is "
        "right. What is shown is what people receive: the checkpoint's own temperature, never one refitted on these patients."
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
    trained, received = to_probabilities(subject.logits), subject.probabilities
    name = subject.class_names[subject.positive_class]
    chart, table = st.columns([3, 2], gap="large")
    with chart:
        bins = [
            reliability_bins(subject.positive, values[:, subject.positive_class], BINS, selected=subject.selected)
            for values in (trained, received)
        ]
        draw(
            draw_reliability(bins[0], bins[1], ("as trained", RECEIVED), current_palette(), positive=name),
            key=f"validity.calibration.{subject.key}",
            alt="probability said against share observed",
        )
    with table:
        found = {title: subject.calibration[name] for name, title in CALIBRATION_TITLES.items()}
        rows = [
            {
                "of what people receive": title,
                "value": number_text(figure.value),
                "95% interval": interval_text(figure.low, figure.high),
            }
            for title, figure in found.items()
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
        for reason in dict.fromkeys(figure.reason for figure in found.values() if figure.reason):
            titles = [title for title, figure in found.items() if figure.reason == reason]
            st.caption(f"{', '.join(titles)}: {reason}.")
        st.caption(
            f"On {subject.whose}. Temperature {subject.temperature:.2f} (above 1 means that the network was too sure), "
            f"{subject.calibrated}. A slope of 1, an intercept of 0 and a ratio of 1 are right; a slope below 1 is too sure."
        )


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
    figures = evaluate_sets(subject.labels, sets, subject.class_names, selected=subject.selected)
    auroc, _, _ = (
        auroc_interval(subject.positive, log_odds(subject.logits, subject.positive_class))
        if _both(subject)
        else (None,) * 3
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
            f"On {subject.whose}, each calibrated on all the others: what such sets can do. A class needs at least "
            f"{int(np.ceil(1 / (1 - level) - 1e-9))} patients before it can ever be left out."
        )
        for name, promise in zip(subject.class_names, subject.promises, strict=False):
            st.caption(f"The checkpoint's own sets, {plain(name)}: {promise}.")
    show_falsifier(
        "the classes' scores overlapped less: the point would slide down the curve, to one class for each patient."
    )


def _both(subject: Subject) -> bool:
    counts = np.bincount(subject.labels, minlength=2)
    return bool(counts.min() >= 2)
