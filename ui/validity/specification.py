"""The specification curve: the result under every reasonable choice, in order."""

from __future__ import annotations

from math import prod

import numpy as np
import streamlit as st

from core.config import field_paths
from core.evaluation.figure import Figure
from core.evaluation.power import auroc_variance
from core.evaluation.specification import Cell, SpecificationCurve, order_cells
from core.experiments.controls.specification import KIND, SpecificationParameters
from core.jobs.experiment import RunOptions
from core.runs.folder import RunFolder
from ui.figures.specification import draw_specification
from ui.validity.answers import ask_answer, show_asking
from ui.validity.remarks import mark_simulated, show_falsifier
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw

CHOICES: dict[str, tuple[str, ...]] = {
    title: choice
    for title, choice in {
        "T1wCE alone or all four sequences": ("sequences", "T1wCE", "FLAIR,T1w,T1wCE,T2w"),
        "4 or 8 slices a series": ("slice_count", "4", "8"),
        "grey levels by percentiles or z-scores": ("normalise", "percentile", "zscore"),
        "proportions kept or stretched": ("fit", "pad", "stretch"),
    }.items()
    if choice[0] in field_paths()
}
"""What may be varied: a setting and its values."""


@st.cache_data(max_entries=4, show_spinner=False)
def _example() -> SpecificationCurve:
    """Forty combinations on 40 patients where there is nothing to find."""
    generator = np.random.default_rng(3)
    error = float(np.sqrt(auroc_variance(0.5, 40)))
    cells = []
    for seed in ("0", "1", "2", "3", "4"):
        for normalise in ("percentile", "zscore"):
            for sequences in ("T1wCE", "all four"):
                for slices in ("4", "8"):
                    value = float(np.clip(generator.normal(0.5, error), 0, 1))
                    figure = Figure(
                        value=value, low=max(0.0, value - 1.96 * error), high=min(1.0, value + 1.96 * error), n=40
                    )
                    choices = {"seed": seed, "normalise": normalise, "sequences": sequences, "slices": slices}
                    cells.append(Cell(choices=choices, figure=figure, run=""))
    return order_cells(cells)


def draw_section() -> None:
    """The visitor's own curves, or an example from pure noise."""
    st.markdown(
        "Seed, normalisation, sequences, slices: each of these could reasonably have been chosen otherwise. Run all "
        "combinations and lay them out in order. A result that is only there in the best corner is not there."
    )
    result = ask_answer(KIND)
    if result is None:
        curve = _example()
        mark_simulated()
        _show(curve, "validity.specification.example")
        st.caption(
            f"Forty combinations on 40 patients, with nothing to find: the best of them shows {curve.values[-1]:.2f}. Whoever "
            "reports that one alone has reported noise."
        )
    else:
        curve = SpecificationCurve.from_dict(result)
        _show(curve, "validity.specification.own")
        if "joint" in result:
            st.markdown(f"**{plain(result['joint']['sentence'], 400)}**")
        for reason in result.get("reasons", []):
            st.caption(f":material/warning: {plain(reason, 300)}")
        st.download_button(
            "All cells as CSV",
            curve.to_csv(),
            "specification.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="Every combination; there is no way to take the best one alone.",
        )
    show_asking(KIND, _ask_choices)
    show_falsifier("most points, not the best one, lay above 0.5 with their whole interval.")


def _ask_choices(run: RunFolder) -> tuple[SpecificationParameters, RunOptions, int]:
    """Which choices are varied, and how many combinations they make."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        seeds = int(st.number_input("Seeds", 1, 20, 3, key="validity.specification.seeds", width=140))
        picked = st.pills(
            "Varied beside the seed",
            list(CHOICES),
            default=list(CHOICES)[:2],
            selection_mode="multi",
            key="validity.specification.vary",
        )
    vary = {"seed": [str(seed) for seed in range(seeds)]}
    vary |= {name: values for name, *values in (CHOICES[title] for title in picked)}
    return SpecificationParameters(vary=vary), RunOptions(), prod(len(values) for values in vary.values())


def _show(curve: SpecificationCurve, key: str) -> None:
    draw(draw_specification(curve, current_palette()), key=key, alt="AUROC of every combination of choices, in order")
    st.markdown(f"**{curve.sentence()}**")
