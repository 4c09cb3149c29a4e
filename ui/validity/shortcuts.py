"""Shortcuts: do headers, or what lies outside the brain, give the label away?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.experiments.controls.measurements import SHORTCUTS, ask_measurement
from core.experiments.controls.shortcuts import CONTROLS, Shortcuts
from core.figure_text import figure_text, interval_text, number_text, p_text
from ui.figures.controls import draw_intervals
from ui.validity.measurement import ask_data, ask_measured
from ui.validity.remarks import show_falsifier
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw

PERMUTATIONS = 99


def draw_section() -> None:
    """Choose a cohort, run the controls, and show what they found."""
    st.markdown(
        "A network takes whatever predicts the label. If methylated patients were scanned elsewhere, the scanner will do. "
        "These small models see **everything but the tumour**: what they reach, a network may have reached the same way."
    )
    data = ask_data()
    if data is not None:
        question = ask_measurement(SHORTCUTS, *data, permutations=PERMUTATIONS)
        found = ask_measured("validity.shortcuts", question, "Look for shortcuts", ":material/route:")
        if found is not None:
            show_shortcuts(found)
    _tell_network()
    show_falsifier(
        "the classes had been scanned differently (headers), or marks, margins or skull-stripping differed (blanked "
        "brain). Shuffled slices can only find something if the procedure itself leaks, or by chance, once in twenty."
    )


def _tell_network() -> None:
    """How a network, which sees more than thumbnails, is asked the same."""
    with st.expander("A network on blanked heads", icon=":material/neurology:"):
        st.markdown(
            "A network sees finer things than 24 x 24 pixels. Trained with `blank_head` every head is one grey, brain and tumour "
            "gone: its AUROC by patient ought to have 0.5 in its interval. The Train page has the setting, too."
        )
        st.code(
            "python -m core train DATA --preset honest --set blank_head=true\n"
            "python -m core permute DATA --preset honest --set blank_head=true --name blanked",
            language=None,
            wrap_lines=True,
        )


def show_shortcuts(found: Shortcuts) -> None:
    """What each control reached, and what follows."""
    shown = [control for control in CONTROLS if control.name in found.results]
    warned = [control for control in shown if control.name != "pictures" and found.found(control.name)]
    for control in warned:
        result = found.results[control.name]
        st.warning(
            f"**{control.title}**: {control.found}. AUROC {figure_text(result.auroc, 'patients')}, {p_text(found.adjust(control.name), 'after Holm')}.",
            icon=":material/route:",
        )
    if not warned:
        st.info(
            f"None of these controls predicts the label better than chance (n = {found.patients} patients). A weak shortcut, "
            "or another kind of one, may still be there. An AUROC below 0.5 is chance, too.",
            icon=":material/check:",
        )
    if found.found("headers"):
        st.caption(f"The headers' model leans on: {plain(', '.join(found.features))}.")
    draw(
        draw_intervals(
            [control.title for control in shown],
            [found.results[control.name].auroc for control in shown],
            [found.found(control.name) for control in shown],
            current_palette(),
        ),
        key="validity.shortcuts.figure",
        alt="AUROC of each control with its interval",
    )
    st.dataframe(
        pd.DataFrame(
            {
                "control": control.title,
                "sees": control.sees,
                "AUROC by patient": number_text(found.results[control.name].auroc.value),
                "95% interval": interval_text(
                    found.results[control.name].auroc.low, found.results[control.name].auroc.high
                ),
                "n (patients)": found.results[control.name].auroc.n,
                "permutation p": f"{found.results[control.name].p_value:.3f}",
                "p after Holm": f"{found.adjust(control.name):.3f}",
                "the other way": control.other_way,
            }
            for control in shown
        ),
        hide_index=True,
        height="content",
    )
    first = found.results[shown[0].name]
    synthetic = " synthetic" if found.synthetic else ""
    st.caption(
        f"Logistic regressions on {found.patients}{synthetic} patients, nested cross-validation by patient ({first.auroc.method}); "
        f"{len(first.null)} label shuffles each, {plain(found.within)}, p = (1 + b)/(1 + N), so that p cannot be below {1 / (1 + len(first.null)):.3f}."
    )
    if found.panel:
        _show_panel(found)
    for note in found.notes:
        st.caption(plain(note))


def _show_panel(found: Shortcuts) -> None:
    """Each header by itself: a model of all of them hardly sees a single one."""
    with st.expander(f"Each of {len(found.panel)} headers and traces by itself", icon=":material/list:"):
        st.dataframe(
            pd.DataFrame(
                {
                    "header": plain(one.name),
                    "AUROC, these patients": number_text(one.auroc),
                    "p over all headers": f"{one.p_value:.4f}",
                    "n (patients)": one.patients,
                }
                for one in found.panel
            ),
            hide_index=True,
        )
        st.caption(
            "The AUROC is that of the header on the same patients, in the direction that fits, so that it is never below 0.5. p "
            "counts how often any header does as well with shuffled labels, within sites where they are known; site and order over "
            "all patients. Intensity can show the disease, too, and is not counted as metadata. Words (of sites, devices, protocols) are compared "
            "as digests and never shown."
        )
