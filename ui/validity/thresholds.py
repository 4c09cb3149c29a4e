"""Thresholds: what a yes or a no is worth, and whether acting on it does any good."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluation.thresholds import (
    SHARES,
    decision_curve,
    decision_words,
    evaluate_thresholds,
    shift_prevalence,
    values_at_prevalence,
)
from core.figure_text import interval_text, number_text
from ui.figures.reliability import draw_decision, draw_threshold_shares
from ui.validity.remarks import show_falsifier
from ui.validity.subject import Subject, ask_subject
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw


def draw_section() -> None:
    """The four shares against the threshold, the table at one threshold, and the decision curve."""
    st.markdown(
        "An AUROC speaks of all thresholds at once; whoever acts uses one. The dashed line is the threshold that was "
        "chosen on validation patients and is stored in the checkpoint."
    )
    subject = ask_subject()
    if subject is None:
        return
    probability = subject.probabilities[:, subject.positive_class]
    points = evaluate_thresholds(subject.positive, probability, np.linspace(0.02, 0.98, 97), selected=subject.selected)
    palette = current_palette()
    with st.grid(2, min_column_width=320):
        for name, figure in zip(
            ("shares", "values"), draw_threshold_shares(points, subject.threshold, palette), strict=True
        ):
            draw(figure, key=f"validity.thresholds.{name}.{subject.key}", alt=f"{name} against the threshold")
    _show_point(subject, probability)
    st.markdown("#### Is acting on it worth anything?")
    st.markdown(
        "*Net benefit* counts patients rightly called positive, less the false alarms, weighed by the threshold: whoever "
        "acts at 20% accepts four false alarms for one found patient. Only where the line lies above **both** "
        "others does the model add something to calling everybody, or nobody, positive."
    )
    curve = decision_curve(subject.positive, probability, selected=subject.selected)
    draw(
        draw_decision(curve, subject.threshold, palette),
        key=f"validity.decision.{subject.key}",
        alt="net benefit against the threshold probability",
    )
    st.caption(
        f"{decision_words(curve)} On {subject.whose}"
        f"{'' if subject.selected else '; the band holds at all these thresholds together (95%)'}. "
        "Vickers and Elkin 2006."
    )
    show_falsifier(
        "positive patients had clearly higher probabilities, and these were calibrated: a threshold on "
        "probabilities that do not mean what they say has no meaning either."
    )


def _show_point(subject: Subject, probability: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    threshold = st.slider(
        "Threshold", 0.02, 0.98, float(np.clip(round(subject.threshold, 2), 0.02, 0.98)), 0.01,
        key=f"validity.thresholds.at.{subject.key}",
    )  # fmt: skip
    (point,) = evaluate_thresholds(subject.positive, probability, [threshold], selected=subject.selected)
    share_positive = float(np.mean(subject.positive))
    name = plain(subject.class_names[subject.positive_class])
    prevalence = st.slider(
        f"Share of {name} patients where it is used", 0.01, 0.99, float(np.clip(round(share_positive, 2), 0.01, 0.99)), 0.01,
        key=f"validity.thresholds.prevalence.{subject.key}",
        help="Predictive values hang on it; sensitivity and specificity are taken to stay.",
    )  # fmt: skip
    values = values_at_prevalence(point, prevalence)
    rows = []
    for key, title in SHARES.items():
        share = values.get(key, getattr(point, key))
        rows.append(
            {
                "figure": title,
                "value": number_text(share.value),
                "95% interval": interval_text(share.low, share.high) or share.reason,
                "n (patients)": share.n,
            }
        )
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    moved = float(shift_prevalence(threshold, share_positive, prevalence)) if 0 < share_positive < 1 else threshold
    st.caption(
        f"On {subject.whose}, {share_positive:.0%} of them {name}; {point.called} are called {name}. Predictive values are those "
        f"where {prevalence:.0%} are {name}; there a probability of {threshold:.2f} is {moved:.2f}."
    )
